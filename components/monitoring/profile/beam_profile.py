"""Window profiles counted by Beam, the same to the bit on one machine and on many.

Files → record batches → (parted by row identity, each identity once) → `Profiler.profile` a batch →
`CombinePerKey` by model version and window → one WindowProfile a key. What travels between workers
are packed profiles (window_json.py), some hundred bytes a feature.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import Coder
from apache_beam.metrics import Metrics

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.profile.distinct_rows import distinct, parts
from tfx_loop.monitoring.profile.layout import Layout
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE, FrozenProfile
from tfx_loop.monitoring.profile.window_json import from_bytes, to_bytes
from tfx_loop.monitoring.profile.window_profile import WindowProfile, empty, merge

_LOG = logging.getLogger(__name__)
Key = tuple[int, str]
# Of no window: no model version is negative.
REST: Key = (-1, "")


class ProfileCoder(Coder):
    """Window profiles as bytes, equal for equal profiles."""

    def encode(self, value: WindowProfile) -> bytes:
        return to_bytes(value)

    def decode(self, encoded: bytes) -> WindowProfile:
        return from_bytes(encoded)

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> type:
        return WindowProfile


class RowsCoder(Coder):
    """Record batches as Arrow streams."""

    def encode(self, value: Any) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as stream:
            stream.write_batch(value)
        return bytes(sink.getvalue().to_pybytes())

    def decode(self, encoded: bytes) -> Any:
        return pa.ipc.open_stream(encoded).read_next_batch()

    def is_deterministic(self) -> bool:
        return True

    def to_type_hint(self) -> Any:
        return pa.RecordBatch


class MergeProfiles(beam.CombineFn):
    """Adds window profiles; an accumulator is a profile."""

    def __init__(self, digest: str) -> None:
        """Takes the digest of the reference that all are counted on."""
        self._digest = digest

    def create_accumulator(self) -> WindowProfile:
        return empty(self._digest)

    def add_input(self, accumulator: WindowProfile, element: WindowProfile) -> WindowProfile:
        return merge(accumulator, element)

    def merge_accumulators(self, accumulators: Iterable[WindowProfile]) -> WindowProfile:
        result = self.create_accumulator()
        for accumulator in accumulators:
            result = merge(result, accumulator)
        return result

    def extract_output(self, accumulator: WindowProfile) -> WindowProfile:
        return accumulator

    def get_accumulator_coder(self) -> Coder:
        return ProfileCoder()


class ProfileBatches(beam.DoFn):
    """Profiles record batches, each as one profile a model version and window."""

    def __init__(self, reference: dict[str, Any], layout: Layout) -> None:
        """Takes the reference as JSON, as it travels to the workers."""
        self._reference, self._layout = reference, layout
        self._profiler: Profiler | None = None
        self._rows = Metrics.counter("profile", "rows")

    def setup(self) -> None:
        self._profiler = Profiler(REFERENCE_PROFILE.value(self._reference), self._layout)

    def process(self, batch: Any) -> Iterator[tuple[Key, WindowProfile]]:
        assert self._profiler is not None
        self._rows.inc(batch.num_rows)
        yield from by_window(self._profiler.profile(batch)).items()


class ReadBatches(beam.DoFn):
    """Reads the record batches of a file (tfx_loop.data.tables), a few in memory at a time."""

    def __init__(self, columns: tuple[str, ...] | None = None) -> None:
        """Takes the columns to read; all where none are named."""
        self._columns = columns

    def process(self, path: str) -> Iterator[Any]:
        table = open_table(path)
        names = None
        if self._columns is not None:
            names = [name for name in table.schema.names if name in self._columns]
        yield from table.batches(names)


class _Distinct(beam.DoFn):
    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def process(self, part: tuple[int, Iterable[Any]]) -> Iterator[Any]:
        yield from distinct(list(part[1]), self._layout)


class ProfileWindow(beam.PTransform):
    """Record batches in, one ((model_version, window), WindowProfile) a key out.

    What belongs to no window comes under the key REST; `whole` merges all.
    """

    def __init__(
        self, reference: FrozenProfile, layout: Layout, repeated: bool = False, shards: int = 64
    ) -> None:
        """Declares the transform.

        Args:
            reference: The frozen profile of the training rows.
            layout: Where a batch has what is counted.
            repeated: Rows may have been delivered twice: they are brought together by identity
                and counted once. PredictionLogGen's logs hold each row once already.
            shards: Parts to bring rows together in; one must fit in memory.
        """
        super().__init__()
        self._reference, self._layout = reference, layout
        self._repeated, self._shards = repeated, shards

    def expand(self, batches: Any) -> Any:
        layout, shards = self._layout, self._shards
        # Beam would pickle them else, and equal profiles need not be equal bytes then.
        beam.coders.registry.register_coder(WindowProfile, ProfileCoder)
        beam.coders.registry.register_coder(pa.RecordBatch, RowsCoder)
        if self._repeated:
            batches = (
                batches
                | "PartByIdentity"
                >> beam.FlatMap(lambda batch: list(parts(batch, shards, layout))).with_output_types(
                    tuple[int, pa.RecordBatch]
                )
                | "Together" >> beam.GroupByKey()
                | "EachOnce" >> beam.ParDo(_Distinct(layout)).with_output_types(pa.RecordBatch)
            )
        content = REFERENCE_PROFILE.content(self._reference)
        return (
            batches
            | "Profile"
            >> beam.ParDo(ProfileBatches(content, layout)).with_output_types(
                tuple[tuple[int, str], WindowProfile]
            )
            | "Merge" >> beam.CombinePerKey(MergeProfiles(self._reference.digest()))
        )


def by_window(profile: WindowProfile) -> dict[Key, WindowProfile]:
    """Returns a profile's parts by model version and window; they merge to the whole again.

    What is of all windows together, such as failed rows and the sample, is under REST.
    """
    # What has no key of its own goes to one place, or it would be counted once a window.
    found = {REST: replace(profile, cells={})}
    for key in {(key.model_version, key.window) for key in profile.cells}:
        cells = {k: c for k, c in profile.cells.items() if (k.model_version, k.window) == key}
        found[key] = WindowProfile(profile.reference, cells)
    return found


def whole(parts_of: Iterable[tuple[Key, WindowProfile]], reference: FrozenProfile) -> WindowProfile:
    """Returns the merged profile of all keys."""
    result = empty(reference)
    for _, profile in parts_of:
        result = merge(result, profile)
    return result


def check_rows(profile: WindowProfile, rows: int) -> WindowProfile:
    """Returns the profile if it has all rows: runners were reported to lose some silently.

    Raises:
        DataError: It has fewer or more.
    """
    if profile.rows + profile.failed_rows != rows:
        raise DataError(
            f"Expected {rows} rows in the window profile, received "
            f"{profile.rows + profile.failed_rows}: rows were lost or counted twice on the way. "
            "Run it again, with repeated=True where rows may be delivered twice."
        )
    _LOG.info("window_profile rows=%d cells=%d", profile.rows, len(profile.cells))
    return profile
