"""Answers of TFX's BulkInferrer, as rows of the prediction log.

Its InferenceResult holds TF Serving's `PredictionLog` messages in TFRecords. They say nothing of
when and by whom a row was asked: each is a request of its own, in the order of the files, at the
begin of the window.
"""

from itertools import chain

import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.core.folders import walk_files
from tfx_loop.data.prediction_log.importers.calls import RejectedRecordError
from tfx_loop.data.prediction_log.importers.tf_serving import parse_prediction_log
from tfx_loop.data.prediction_log.record import SEGMENT_FIELDS
from tfx_loop.data.prediction_log.unified_columns import unify
from tfx_loop.data.tables.tfrecord import read_records

# As BulkInferrer packs its files; some thousand messages are read at once.
_SUFFIX, _RECORDS = ".gz", 1_000


def read_inference(uri: str, model_name: str, start_ms: int) -> pa.Table:
    """Returns the rows of an InferenceResult.

    Args:
        uri: The artifact's folder.
        model_name: What the model is called in the log.
        start_ms: Event time of all rows, milliseconds UTC.

    Raises:
        DataError: A record is no PredictionLog, or has no rows.
    """
    tables: list[pa.Table] = []
    for file in walk_files(uri, _SUFFIX):
        for record in chain.from_iterable(read_records(file, _RECORDS)):
            try:
                call = parse_prediction_log(record, f"bulk-inference-{len(tables)}")
            except RejectedRecordError as error:
                raise DataError(
                    f"{error} Received other records in {file}: give the InferenceResult of "
                    "BulkInferrer."
                ) from error
            tables.append(pa.Table.from_batches([call.batch(model_name, start_ms)]))
    table, _ = unify(tables)
    return table.drop([field.name for field in SEGMENT_FIELDS])
