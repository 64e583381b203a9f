"""Rows of several folders as one table, whole or the first of them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.several import read_all, read_first


@pytest.fixture
def spans(tmp_path):
    """Two spans of two rows each; the second has a column more, and floats for integers."""
    tables = ({"x": [1, 2]}, {"x": [3.5, 4.0], "y": ["a", "b"]})
    paths = []
    for number, columns in enumerate(tables):
        paths.append(str(tmp_path / f"span-{number}.parquet"))
        pq.write_table(pa.table(columns), paths[-1])
    return paths


def test_all_rows_come_in_order_with_one_schema(spans):
    table = read_all(spans)
    assert table.to_pydict() == {"x": [1.0, 2.0, 3.5, 4.0], "y": [None, None, "a", "b"]}


@pytest.mark.parametrize(("rows", "expected"), [(1, [1.0]), (3, [1.0, 2.0, 3.5])])
def test_the_first_rows_go_on_into_the_next_span(spans, rows, expected):
    assert read_first(spans, rows).column("x").to_pylist() == expected
    assert read_first(spans, 9).num_rows == 4, "there are no more"


def test_two_types_of_one_column_are_refused(spans, tmp_path):
    other = str(tmp_path / "other.parquet")
    pq.write_table(pa.table({"x": ["text"]}), other)
    with pytest.raises(DataError, match="one type of column 'x'"):
        read_all([*spans, other])
