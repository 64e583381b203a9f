"""TensorFlow's operations by what running them does beyond computing.

A graph is data that a runtime executes: these operations are how a graph gets at files, at other
machines and at Python. `operations.txt` beside this module lists the operations of TensorFlow's
registry that do none of it; an operation in neither place is unknown, and refused as such.
"""

from functools import cache
from importlib import resources

from tfx_loop.models.guard.findings import Harm

_BY_HARM = {
    Harm.READS: """
        CSVDataset CSVDatasetV2 DTensorRestoreV2 ExperimentalCSVDataset ExperimentalLMDBDataset
        ExperimentalMatchingFilesDataset ExperimentalSqlDataset FixedLengthRecordDataset
        FixedLengthRecordDatasetV2 FixedLengthRecordReader FixedLengthRecordReaderV2
        GenerateVocabRemapping IdentityReader IdentityReaderV2 InitializeTRTResource
        InitializeTableFromTextFile InitializeTableFromTextFileV2 LMDBDataset LMDBReader
        ListSnapshotChunksDataset LoadAndRemapMatrix LoadDataset MatchingFiles MatchingFilesDataset
        ReadFile RecordInput Restore RestoreSlice RestoreV2 Skipgram SnapshotChunkDataset
        SnapshotDatasetReader SnapshotNestedDatasetReader SqlDataset TFRecordDataset
        TFRecordDatasetV2 TFRecordReader TFRecordReaderV2 TextLineDataset TextLineReader
        TextLineReaderV2 WholeFileReader WholeFileReaderV2
        """,
    Harm.WRITES: """
        CacheDataset CacheDatasetV2 CreateSummaryDbWriter CreateSummaryFileWriter DatasetToTFRecord
        DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
        DebugNumericSummaryV2 DistributedSave DumpTensor ExperimentalDatasetToTFRecord
        FlushSummaryWriter ImportEvent MergeV2Checkpoints Save SaveDataset SaveDatasetV2 SaveSlices
        SaveV2 SerializeTRTResource SnapshotDataset SnapshotDatasetV2 SummaryWriter
        WriteAudioSummary WriteFile WriteGraphSummary WriteHistogramSummary WriteImageSummary
        WriteRawProtoSummary WriteScalarSummary WriteSummary Copy CopyHost
        """,
    Harm.RUNS: """
        EagerPyFunc PyFunc PyFuncStateless TRTEngineOp XlaCustomCall XlaCustomCallV2
        """,
    Harm.NETWORK: """
        CollectiveInitializeCommunicator ConfigureAndInitializeGlobalTPU ConfigureDistributedTPU
        ConnectTPUEmbeddingHosts DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3
        DataServiceDatasetV4 FileSystemSetConfiguration Recv RegisterDataset RegisterDatasetV2
        RemoteCall RpcCall RpcCheckStatus RpcClient RpcGetValue RpcServer RpcServerRegister
        RpcServerStart Send _HostRecv _HostSend _Recv _Send
        """,
    Harm.ENDS: "Abort",
}
HARMS = {op: harm for harm, text in _BY_HARM.items() for op in text.split()}
# What saving and restoring a model's own variables takes.
CHECKPOINTING = frozenset(
    ["MergeV2Checkpoints", "Restore", "RestoreSlice", "RestoreV2", "Save", "SaveSlices", "SaveV2"]
)
# Readers that a model may have for its own assets, and which input names the file.
ASSET_READERS = {
    "InitializeTableFromTextFile": 1,
    "InitializeTableFromTextFileV2": 1,
    "ReadFile": 0,
    "TFRecordDataset": 0,
    "TFRecordDatasetV2": 0,
    "TextLineDataset": 0,
}
# Attributes that name a file which the operation reads.
FILE_ATTRIBUTES = {"FixedUnigramCandidateSampler": "vocab_file"}
# Where PrintV2 may write; anything else that begins with file:// is a file.
PRINT_STREAMS = frozenset({"stdout", "stderr", "log(info)", "log(warning)", "log(error)"})


@cache
def harmless() -> frozenset[str]:
    """Returns the operations that only compute."""
    return frozenset(resources.files(__package__).joinpath("operations.txt").read_text().split())


def harm_of(op: str) -> Harm | None:
    """Returns what running an operation does beyond computing; None for nothing."""
    return HARMS.get(op) or (None if op in harmless() else Harm.UNKNOWN)
