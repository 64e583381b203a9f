"""What the world brings to an example: spans, requests of a window, and labels that come later."""

from typing import Any

from tests.benchmarks.examples.data import ROW_ID
from tests.benchmarks.examples.workbench import START_MS, Workbench

SERVED_ROWS = {"eval": 300, "train": 300}


def rows_of(bench: Workbench, split: str) -> list[bytes]:
    """Returns serialized tf.Examples of one split of the stock pipeline."""
    import tensorflow as tf

    source = bench.names["example_gen"].id
    files = sorted(bench.folder.glob(f"root/{source}/examples/*/Split-{split}/*"))
    rows = tf.data.TFRecordDataset([str(f) for f in files], compression_type="GZIP")
    return [bytes(row) for row in rows.take(SERVED_ROWS[split]).as_numpy_iterator()]


def write_span(bench: Workbench) -> None:
    """Writes rows as a span of Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from tfx_bsl.coders import example_coder

    decoder = example_coder.ExamplesToRecordBatchDecoder()
    table = pa.Table.from_batches([decoder.DecodeBatch(rows_of(bench, "eval"))])
    columns = {name: flat(table.column(name)) for name in table.column_names}
    (bench.folder / "spans").mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), bench.folder / "spans" / "span-01.parquet")


def flat(column: Any) -> Any:
    """Returns single values for lists of one, as people keep them."""
    import pyarrow as pa

    values = column.to_pylist()
    if all(not value or len(value) == 1 for value in values):
        return pa.array([value[0] if value else None for value in values])
    return pa.array(values)


def serve(bench: Workbench, name: str) -> None:
    """Asks the server what the window's clients ask it, and writes the labels that come later.

    Half of the rows are of the training split: SkewMonitor looks for rows that were trained on.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import tensorflow as tf

    from tfx_loop.deployment.model_server.client import ModelClient

    client = ModelClient(f"http://127.0.0.1:{bench.port}", name, timeout=60.0)
    ids, labels = [], []
    for number, row in enumerate([*rows_of(bench, "eval"), *rows_of(bench, "train")]):
        features = tf.train.Example.FromString(row).features.feature
        ids.append(str(features[ROW_ID].int64_list.value[0]))
        client.predict(
            instances=[row],
            signature_name=bench.example.signature,
            request_id=ids[-1],
            event_time_ms=START_MS + number,
        )
        label = features[bench.example.label]
        values = [*label.float_list.value, *label.int64_list.value]
        labels.append(float(values[0]) if values else None)
    (bench.folder / "labels").mkdir(exist_ok=True)
    arrived = {
        "request_id": ids,
        "instance_index": [0] * len(ids),
        "label": labels,
        "label_time_ms": [START_MS + 1000] * len(ids),
    }
    pq.write_table(pa.table(arrived), bench.folder / "labels" / "labels.parquet")
