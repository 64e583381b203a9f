"""TensorFlow's operations by what running them does beyond computing.

A graph is data that a runtime executes: these operations are how a graph gets at files, at other
machines and at Python. `operations.txt` beside this module lists the operations of TensorFlow's
registry that do none of it; an operation in neither place is unknown, and refused as such.
"""

import re
from functools import cache
from importlib import resources
from typing import Any

from tfx_loop.models.guard.findings import Harm

_BY_HARM = {
    Harm.READS: """
        CSVDataset CSVDatasetV2 DTensorRestoreV2 ExperimentalCSVDataset ExperimentalLMDBDataset
        ExperimentalMatchingFilesDataset ExperimentalSqlDataset FixedLengthRecordDataset
        FixedLengthRecordDatasetV2 FixedLengthRecordReader FixedLengthRecordReaderV2
        GenerateVocabRemapping IdentityReader IdentityReaderV2 ImmutableConst InitializeTRTResource
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
        DatasetFromGraph EagerPyFunc MlirPassthroughOp PyFunc PyFuncStateless TRTEngineOp
        XlaCustomCall XlaCustomCallV2
        """,
    Harm.NETWORK: """
        CollectiveInitializeCommunicator ConfigureAndInitializeGlobalTPU ConfigureDistributedTPU
        ConnectTPUEmbeddingHosts DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3
        DataServiceDatasetV4 FileSystemSetConfiguration Recv RegisterDataset RegisterDatasetV2
        RemoteCall RpcCall RpcCheckStatus RpcClient RpcGetValue RpcServer RpcServerRegister
        RpcServerStart Send _HostRecv _HostSend _Recv _Send
        """,
    Harm.ENDS: "Abort ShutdownDistributedTPU ShutdownTPUSystem WorkerHeartbeat",
}
HARMS = {op: harm for harm, text in _BY_HARM.items() for op in text.split()}
# What restoring a model's own variables takes, with the input that names the file.
RESTORING = {"Restore": 0, "RestoreSlice": 0, "RestoreV2": 0}
# What saving them takes beside.
SAVING = frozenset(["MergeV2Checkpoints", "Save", "SaveSlices", "SaveV2", *RESTORING])
# Python functions of this process, by a number that another process gave them.
PYTHON = frozenset(["EagerPyFunc", "PyFunc", "PyFuncStateless"])
# Readers that a model may have for its own assets, and which input names the file.
ASSET_READERS = {
    "InitializeTableFromTextFile": 1,
    "InitializeTableFromTextFileV2": 1,
    "ReadFile": 0,
    "TFRecordDataset": 0,
    "TFRecordDatasetV2": 0,
    "TextLineDataset": 0,
}
# Attributes that may name a file: what is done with it, and the values that are none. PrintV2 takes
# what begins with file:// for one, the proto operations what is no other source of descriptors.
_DESCRIPTORS = (b"descriptor_source", Harm.READS, re.compile(rb"(local://|bytes://.*)?", re.DOTALL))
_FILE_ATTRIBUTES = {
    "DecodeProtoV2": _DESCRIPTORS,
    "EncodeProto": _DESCRIPTORS,
    "FixedUnigramCandidateSampler": (b"vocab_file", Harm.READS, re.compile(rb"")),
    "PrintV2": (
        b"output_stream",
        Harm.WRITES,
        re.compile(rb"(stdout|stderr|log\((info|warning|error)\))?"),
    ),
}


@cache
def harmless() -> frozenset[str]:
    """Returns the operations that only compute."""
    return frozenset(resources.files(__package__).joinpath("operations.txt").read_text().split())


def harm_of(op: str) -> Harm | None:
    """Returns what running an operation does beyond computing; None for nothing."""
    return HARMS.get(op) or (None if op in harmless() else Harm.UNKNOWN)


def file_of(node: Any) -> tuple[Harm, str] | None:
    """Returns what an operation does with the file that an attribute names, and the file.

    Args:
        node: The message.
    """
    if (place := _FILE_ATTRIBUTES.get(node.op.decode("utf-8", "replace"))) is None:
        return None
    key, harm, no_file = place
    for entry in node.attr:
        if entry.key != key:
            continue
        if entry.value.WhichOneof("alternatives") == "placeholder":
            return harm, "what its caller names"
        if not no_file.fullmatch(entry.value.s):
            return harm, repr(entry.value.s.decode("utf-8", "replace")[:80])
    return None
