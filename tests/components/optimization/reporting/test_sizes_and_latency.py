"""Sizes are those of the files; models are timed in turns."""

import io
import zipfile

import numpy as np
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.optimization.reporting.latency import measure
from tfx_loop.optimization.reporting.sizes import size_of


class Slept:
    """A model that takes a known time of a clock that only it moves."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.runtime, self.sizes = clock, seconds, "none", []

    def predict(self, inputs, batch_size=256):
        self.sizes.append(len(inputs["x"]))
        self.clock.now += self.seconds * len(inputs["x"])
        self.clock.order.append(self)
        return {}


class Clock:
    now = 0.0

    def __init__(self):
        self.order = []

    def __call__(self):
        return self.now


def test_a_folder_is_all_its_files_and_zips_as_zipfile_does(tmp_path):
    folder = tmp_path / "saved_model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph" * 1000)
    (folder / "variables" / "data").write_bytes(np.random.default_rng(0).bytes(3000))
    found = size_of(folder)
    assert found.raw_bytes == 8000
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(tmp_path))
    assert found.zipped_bytes == pytest.approx(len(packed.getvalue()), abs=64)


def test_zeros_zip_well(tmp_path):
    (tmp_path / "dense").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "sparse").write_bytes(bytes(50_000))
    dense, sparse = size_of(tmp_path / "dense"), size_of(tmp_path / "sparse")
    assert dense.raw_bytes == sparse.raw_bytes == 50_000
    assert sparse.zipped_bytes < 1_000 < dense.zipped_bytes


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="found none"):
        size_of(tmp_path / "nothing")


def test_models_take_turns_and_each_is_timed_by_itself():
    clock = Clock()
    fast, slow = Slept(clock, 0.001), Slept(clock, 0.003)
    found = measure(
        {"parent": slow, "child": fast}, {"x": np.zeros((5, 2))}, seconds=0.5, clock=clock
    )
    assert [x.p50_ms for x in found["parent"]] == [3.0, 96.0]
    assert [x.p99_ms for x in found["child"]] == [1.0, 32.0]
    assert set(slow.sizes) == {1, 32}
    assert found["parent"][0].calls == found["child"][0].calls >= 30
    turns = [model is fast for model in clock.order[20:60]]
    assert turns == ([False] * 5 + [True] * 5) * 4


def test_no_rows_are_an_error():
    with pytest.raises(DataError, match="received none"):
        measure({}, {"x": np.zeros((0, 2))})
