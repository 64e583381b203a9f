"""Parquet and CSV files are read whole, with types over all rows, or refused in one line."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.table_file import open_table
from tfx_loop.data.tables.tfrecord import masked_crc32c, read_records


def rows(count=1_000):
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "x": rng.normal(size=count),
            "n": rng.integers(0, 9, count),
            "word": rng.choice(["a", "b"], count),
            "pair": pa.array([[1.0, 2.0]] * count),
        }
    )


def test_parquet_comes_back_whole_in_small_batches(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(rows(), path, row_group_size=300)
    table = open_table(str(path))
    assert (table.format, table.rows) == ("parquet", 1_000)
    assert table.read().equals(rows())
    batches = list(table.batches(batch_rows=128))
    assert max(batch.num_rows for batch in batches) <= 128
    assert sum(batch.num_rows for batch in batches) == 1_000


def test_only_the_columns_asked_for_in_that_order(tmp_path):
    pq.write_table(rows(), tmp_path / "rows.parquet")
    table = open_table(str(tmp_path / "rows.parquet"))
    assert table.read(["word", "x"]).equals(rows().select(["word", "x"]))
    with pytest.raises(DataError, match="columns \\['absent'\\]"):
        table.read(["absent"])


def test_parquet_is_known_by_its_content(tmp_path):
    pq.write_table(rows(), tmp_path / "rows")
    assert open_table(str(tmp_path / "rows")).read().equals(rows())


def test_a_folder_is_one_table_and_scratch_files_are_left_out(tmp_path):
    pq.write_table(pa.table({"x": [1], "y": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [1.5], "z": [True]}), tmp_path / "b.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    table = open_table(str(tmp_path))
    assert table.rows == 2
    assert table.read().to_pydict() == {"x": [1.0, 1.5], "y": ["a", None], "z": [None, True]}


@pytest.mark.slow
def test_csv_types_hold_for_every_row_not_for_the_first_block(tmp_path):
    """Late values decide: a reader that guesses from the first block fails on them."""
    path = tmp_path / "rows.csv"
    count = 400_000
    lines = [f"{i % 7},{i % 7},word,true,," for i in range(count)]
    lines[-1] = '0.5,seven," a,\nb",false,,9'
    path.write_text("late_float,late_text,text,flag,empty,late_int\n" + "\n".join(lines) + "\n")
    table = open_table(str(path))
    assert {field.name: str(field.type) for field in table.schema} == {
        "late_float": "double",
        "late_text": "string",
        "text": "string",
        "flag": "bool",
        "empty": "null",
        "late_int": "int64",
    }
    assert table.rows == count
    last = table.read().slice(count - 1).to_pylist()
    assert last == [
        {
            "late_float": 0.5,
            "late_text": "seven",
            "text": " a,\nb",
            "flag": False,
            "empty": None,
            "late_int": 9,
        }
    ]
    assert max(batch.num_rows for batch in table.batches(["flag"], batch_rows=1_000)) <= 1_000


def test_csv_missing_values_and_packed_files(tmp_path):
    text = "x,word\n1,NA\n,b\nNaN, c \n"
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    table = open_table(str(tmp_path / "rows.csv.gz")).read()
    assert table.column("x").to_pylist()[:2] == [1, None]
    assert table.column("word").to_pylist() == [None, "b", " c "]
    (tmp_path / "rows.tsv").write_text("a\tb\n1\t2\n")
    assert open_table(str(tmp_path / "rows.tsv")).read().to_pydict() == {"a": [1], "b": [2]}


def test_csv_with_a_header_alone_has_no_rows(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n")
    table = open_table(str(tmp_path / "rows.csv"))
    assert (table.rows, table.schema.names, table.read().num_rows) == (0, ["a", "b"], 0)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=30))
def test_csv_numbers_come_back_as_written(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_text("n,m\n" + "".join(f"{'' if v is None else v},0\n" for v in values))
    assert open_table(str(path)).read().column("n").to_pylist() == values


def write(path, content):
    path.write_bytes(content)
    return path


def cut_parquet(folder, part):
    pq.write_table(rows(), folder / "whole.parquet")
    whole = (folder / "whole.parquet").read_bytes()
    (folder / "whole.parquet").unlink()
    return write(folder / "rows.parquet", whole[: int(len(whole) * part)])


def scrambled_parquet(folder):
    pq.write_table(rows(), folder / "whole.parquet", compression="gzip")
    whole = bytearray((folder / "whole.parquet").read_bytes())
    whole[40:4_000] = bytes(3_960)
    (folder / "whole.parquet").unlink()
    return write(folder / "rows.parquet", bytes(whole))


def two_formats(folder):
    write(folder / "a.csv", b"x\n1\n")
    pq.write_table(rows(), folder / "b.parquet")
    return folder


def two_types(folder):
    pq.write_table(pa.table({"x": [1]}), folder / "a.parquet")
    pq.write_table(pa.table({"x": ["one"]}), folder / "b.parquet")
    return folder


def with_a_sub_folder(folder):
    write(folder / "a.csv", b"x\n1\n")
    (folder / "day=2").mkdir()
    write(folder / "day=2" / "b.csv", b"x\n1000\n")
    return folder


def twice_in_parquet(folder):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(table, folder / "rows.parquet")
    return folder / "rows.parquet"


def test_a_damaged_row_is_not_quoted(tmp_path):
    """Errors end in logs, where rows of people do not belong."""
    path = write(tmp_path / "rows.csv", b"a,b\n1,2\nbob@example.org\n")
    with pytest.raises(DataError, match=r"got 1\. Write") as refused:
        open_table(path).read()
    assert "bob" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: cut_parquet(folder, 0.5), "cut or damaged"),
        (lambda folder: cut_parquet(folder, 0.99), "cut or damaged"),
        (scrambled_parquet, "cut or damaged"),
        (lambda folder: write(folder / "rows.parquet", b""), "received an empty file"),
        (lambda folder: write(folder / "rows.csv", b""), "received an empty file"),
        (lambda folder: write(folder / "rows.csv", b"\n\n"), "received none"),
        (lambda folder: write(folder / "rows.csv", b"a,a\n1,2\n"), "'a'\\] twice"),
        (lambda folder: write(folder / "rows.csv", b"a,b\n1\n"), "Expected 2 columns, got 1"),
        (lambda folder: write(folder / "rows.csv", b"1,2\n3,4\n"), "a header"),
        (lambda folder: write(folder / "rows.csv", b"a\n\x81\x9d\n"), "another encoding"),
        (
            lambda folder: write(folder / "rows.csv.gz", gzip.compress(b"a\n1\n" * 99)[:-9]),
            "damaged",
        ),
        (lambda folder: write(folder / "rows.xlsx", b"PK\x03\x04rest"), "is a zip archive"),
        (lambda folder: write(folder / "rows.bin", b"\x7fELF..."), "by name nor by content"),
        (lambda folder: folder / "absent.csv", "found none"),
        (
            lambda folder: folder,
            r"or TFRecord \(\.tfrecord\) files in .*, received an empty folder",
        ),
        (two_formats, "of one format"),
        (with_a_sub_folder, "folders too, such as 'day=2'"),
        (two_types, "one type of column 'x'"),
        (twice_in_parquet, "'x'\\] twice"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(DataError, match=message) as raised:
        open_table(str(path)).read()
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_crc_32c_is_castagnoli_s():
    """Values from RFC 3720, B.4, and its usual check value."""
    inputs = [b"123456789", bytes(32), b"\xff" * 32, bytes(range(32)), b""]
    crcs = [0xE3069283, 0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0]
    masked = [(((c >> 15) | (c << 17)) + 0xA282EAD8) & 0xFFFFFFFF for c in crcs]
    assert masked_crc32c(inputs).tolist() == masked


def test_a_record_that_was_changed_is_noticed(tmp_path):
    body = b"some record"
    head = len(body).to_bytes(8, "little")
    checks = [int(c).to_bytes(4, "little") for c in masked_crc32c([head, body])]
    whole = head + checks[0] + body + checks[1]
    path = write(tmp_path / "x.tfrecord", whole * 3)
    assert list(read_records(str(path), 2)) == [[body, body], [body]]
    for place in range(len(whole)):
        changed = bytearray(whole * 3)
        changed[len(whole) + place] ^= 1
        write(path, bytes(changed))
        with pytest.raises(DataError, match="damaged record 1"):
            list(read_records(str(path), 10))
    write(path, (whole * 3)[:-1])
    with pytest.raises(DataError, match="damaged record 2: it ends inside"):
        list(read_records(str(path), 10))
