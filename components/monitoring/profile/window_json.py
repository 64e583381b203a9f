"""A window profile as JSON, under 1 KB a feature, and packed for the way between workers."""

import base64
import hashlib
import json
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile import distinct_values
from tfx_loop.monitoring.profile.counts import ColumnCounts
from tfx_loop.monitoring.profile.row_blocks import from_packed, to_packed
from tfx_loop.monitoring.profile.row_contents import RowContents
from tfx_loop.monitoring.profile.row_sample import RowSample
from tfx_loop.monitoring.profile.value_sample import FreshValues
from tfx_loop.monitoring.profile.window_profile import Cell, CellKey, FeatureCounts, WindowProfile

SCHEMA_VERSION = 1
PROFILE_FILE = "window_profile.json"
_BLOCKS = ("groups", "times")
_OPTIONAL = ("infinite", "outside", "minimum", "maximum", "unfit", "absent")


def to_json(profile: WindowProfile) -> dict[str, Any]:
    """Returns the counts of a profile, without its rows; equal for equal profiles."""
    return {
        "schema_version": SCHEMA_VERSION,
        "reference": profile.reference,
        "failed_rows": profile.failed_rows,
        "unknown": dict(sorted(profile.unknown.items())),
        "cells": [
            _cell_to_json(key, cell) for key, cell in sorted(profile.cells.items(), key=_key)
        ],
    }


def from_json(
    content: dict[str, Any],
    sample: RowSample | None = None,
    contents: RowContents | None = None,
) -> WindowProfile:
    """Returns the profile that `to_json` wrote, with what it leaves out.

    Raises:
        DataError: It is of another schema version, not whole, or rows were lost.
    """
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(
            f"Expected a window profile of schema version {SCHEMA_VERSION}, received {version!r}. "
            "Profile the window with this release."
        )
    try:
        return WindowProfile(
            reference=content["reference"],
            cells=dict(_cell_from_json(cell) for cell in content["cells"]),
            failed_rows=int(content["failed_rows"]),
            unknown={name: int(rows) for name, rows in content["unknown"].items()},
            sample=sample or RowSample(),
            contents=contents or RowContents(),
        )
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Expected a whole window profile, received one without or with a wrong {error}. "
            "Profile the window again."
        ) from error


def to_bytes(profile: WindowProfile) -> bytes:
    """Returns the whole profile with its rows, packed; equal for equal profiles."""
    # The level is named, as equal profiles must be equal bytes.
    counts = zlib.compress(json.dumps(to_json(profile), separators=(",", ":")).encode(), 6)
    packed = {
        "counts": base64.b64encode(counts).decode(),
        "most": profile.sample.most,
        "rows": base64.b64encode(_table_bytes(profile.sample.rows)).decode(),
        "contents": _contents_to_json(profile.contents),
    }
    for name in _BLOCKS:
        if blocks := getattr(profile, name):
            packed[name] = to_packed(blocks)
    return json.dumps(packed).encode()


def from_bytes(packed: bytes) -> WindowProfile:
    """Returns the profile that `to_bytes` wrote.

    Raises:
        DataError: The bytes are none of its.
    """
    try:
        content = json.loads(packed)
        counts = json.loads(zlib.decompress(base64.b64decode(content["counts"])))
        rows = _table_of(base64.b64decode(content["rows"]))
        sample = RowSample(int(content["most"]), rows)
        found = from_json(counts, sample, _contents_from_json(content["contents"]))
        blocks: dict[str, Any] = {n: from_packed(content[n]) for n in _BLOCKS if n in content}
        return replace(found, **blocks)
    except (KeyError, TypeError, ValueError, zlib.error, pa.ArrowInvalid) as error:
        raise DataError(f"Expected a packed window profile, received: {error}.") from error


def digest(profile: WindowProfile) -> str:
    """Returns `sha256:…` of everything in the profile; equal for equal profiles."""
    return f"sha256:{hashlib.sha256(to_bytes(profile)).hexdigest()}"


def _key(item: tuple[CellKey, Cell]) -> CellKey:
    return item[0]


def _cell_to_json(key: CellKey, cell: Cell) -> dict[str, Any]:
    return {
        "model_version": key.model_version,
        "window": key.window,
        "slice": key.slice,
        "sampling_rate": key.sampling_rate,
        "rows": cell.rows,
        "features": {
            name: _feature_to_json(feature) for name, feature in sorted(cell.features.items())
        },
    }


def _cell_from_json(entry: dict[str, Any]) -> tuple[CellKey, Cell]:
    key = CellKey(
        int(entry["model_version"]),
        entry["window"],
        entry["slice"],
        float(entry["sampling_rate"]),
    )
    rows = int(entry["rows"])
    features = {
        name: _feature_from_json(feature, rows) for name, feature in entry["features"].items()
    }
    return key, Cell(rows, features)


def _feature_to_json(feature: FeatureCounts) -> dict[str, Any]:
    counts = feature.counts
    entry: dict[str, Any] = {"bins": list(counts.bins), "missing": counts.missing}
    for name in _OPTIONAL:
        value = getattr(counts, name)
        if value or isinstance(value, float):  # a smallest value of 0.0 is worth saying
            entry[name] = value
    if feature.first or feature.second:
        entry["deviations"] = [feature.first, feature.second]
    if feature.registers:
        held = np.frombuffer(feature.registers, dtype=np.uint8)
        entry["registers"] = distinct_values.to_text(held)
    if feature.unseen:
        entry["unseen"] = [[f"{key:x}", value] for key, value in feature.unseen]
    if feature.fresh.rows:
        fresh = feature.fresh
        entry["fresh"] = [fresh.rows, fresh.fresh, [f"{key:x}" for key in fresh.keys]]
    return entry


def _feature_from_json(entry: dict[str, Any], rows: int) -> FeatureCounts:
    first, second = entry.get("deviations", (0, 0))
    known = {name: entry[name] for name in _OPTIONAL if name in entry}
    rows_looked_up, fresh, keys = entry.get("fresh", (0, 0, ()))
    registers = b""
    if "registers" in entry:
        registers = distinct_values.from_text(entry["registers"]).tobytes()
    return FeatureCounts(
        counts=ColumnCounts(tuple(entry["bins"]), int(entry["missing"]), rows, **known),
        first=int(first),
        second=int(second),
        registers=registers,
        unseen=tuple((int(key, 16), value) for key, value in entry.get("unseen", ())),
        fresh=FreshValues(int(rows_looked_up), int(fresh), tuple(int(key, 16) for key in keys)),
    )


def _contents_to_json(contents: RowContents) -> dict[str, Any]:
    return {
        "rows": contents.rows,
        "bits": contents.bits,
        # Little-endian whatever the machine, as equal profiles must be equal bytes.
        "keys": base64.b64encode(contents.keys.astype("<u8").tobytes()).decode(),
        "counts": contents.counts.tolist(),
    }


def _contents_from_json(entry: dict[str, Any]) -> RowContents:
    keys: Any = np.frombuffer(base64.b64decode(entry["keys"]), dtype="<u8")
    counts = np.asarray(entry["counts"], dtype=np.int64)
    return RowContents(int(entry["rows"]), int(entry["bits"]), keys.astype(np.uint64), counts)


def _table_bytes(table: Any) -> bytes:
    """Returns a table as an Arrow stream with one batch and nothing left over from its making."""
    if table is None:
        return b""
    # Rebuilt value by value: a slice or a filter would carry buffers, offsets and validity bitmaps
    # of the table that it came from, and equal rows would be different bytes.
    arrays = [
        pa.array(table.column(name).to_pylist(), table.column(name).type)
        for name in table.column_names
    ]
    batch = pa.RecordBatch.from_arrays(arrays, names=table.column_names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def _table_of(content: bytes) -> Any:
    return pa.ipc.open_stream(content).read_all() if content else None
