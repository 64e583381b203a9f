"""The slice that a row of a file falls into."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfx_loop.data.tables.table_file import open_table
from tfx_loop.monitoring.file_comparison.options import ComparisonOptions
from tfx_loop.monitoring.file_comparison.plan import make_plan
from tfx_loop.monitoring.profile.column_roles import ColumnRoles


def sliced(tmp_path, column, batch):
    rows = {"x": np.random.default_rng(0).normal(size=len(column)), "by": column}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    table = open_table(str(tmp_path / "a.parquet"))
    plan = make_plan(table, ComparisonOptions(by="by"), ColumnRoles())
    return plan.slices.of(pa.RecordBatch.from_arrays([pa.array(batch)], names=["by"])).to_pylist()


def test_numbers_fall_into_quarters_and_missing_ones_into_none(tmp_path):
    found = sliced(tmp_path, np.linspace(0, 100, 1_000), [-5.0, 30.0, np.nan, None, 99.0])
    assert found[2:4] == [None, None]
    assert found[0].startswith("-inf<by<=")
    assert found[4].endswith("<by<=inf")
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("values", "batch", "expected"),
    [
        (["a", "b"] * 200, ["b", None, "new"], ["by=b", None, None]),
        ([1, 2] * 200, [2, None, 7], ["by=2", None, None]),
        ([True, False] * 200, [True, None], ["by=1", None]),
    ],
)
def test_values_are_slices_and_others_are_in_none(tmp_path, values, batch, expected):
    assert sliced(tmp_path, values, batch) == expected
