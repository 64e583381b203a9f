"""Features of logged rows as serialised tf.Examples, by which a model can be asked again."""

from collections.abc import Sequence
from typing import Any

from tfx_loop.data.prediction_log.record import FEATURE_PREFIX


def examples_of(table: Any) -> list[bytes]:
    """Returns the features of rows of a prediction log as serialised tf.Examples."""
    from tensorflow.core.example import example_pb2

    columns = {
        name.removeprefix(FEATURE_PREFIX): table.column(name).to_pylist()
        for name in table.column_names
        if name.startswith(FEATURE_PREFIX)
    }
    examples = []
    for row in range(len(table)):
        example = example_pb2.Example()
        for name, values in columns.items():
            held = values[row]
            items = held if isinstance(held, list) else [] if held is None else [held]
            _fill(example.features.feature[name], [item for item in items if item is not None])
        examples.append(example.SerializeToString())
    return examples


def _fill(feature: Any, items: Sequence[Any]) -> None:
    if items and isinstance(items[0], str):
        feature.bytes_list.value.extend(item.encode() for item in items)
    elif items and isinstance(items[0], float):
        feature.float_list.value.extend(items)
    elif items:
        feature.int64_list.value.extend(map(int, items))
