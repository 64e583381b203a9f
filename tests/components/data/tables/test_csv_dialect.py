"""CSV files as people have them: delimiters, encodings, comments and columns without a name."""

import codecs

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.data.tables.table_file import open_table

ROWS = [(number, f"São {number}") for number in range(60)]


def read(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return open_table(str(path)).read().to_pydict()


def written(delimiter, above=""):
    lines = [f"number{delimiter}city", *(f"{a}{delimiter}{b}" for a, b in ROWS)]
    return above + "\n".join(lines) + "\n"


EXPECTED = {"number": [a for a, _ in ROWS], "city": [b for _, b in ROWS]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_cuts_all_lines_alike(tmp_path, delimiter):
    assert read(tmp_path / "rows.csv", written(delimiter)) == EXPECTED


def test_marks_inside_of_quotes_and_of_decimals_are_no_delimiters(tmp_path):
    content = 'price;note\n"1,5";"a;b|c"\n2,25;"d, e"\n'
    assert read(tmp_path / "a.csv", content) == {
        "price": ["1,5", "2,25"],
        "note": ["a;b|c", "d, e"],
    }


def test_one_column_of_text_stays_one_column(tmp_path):
    assert read(tmp_path / "a.csv", "note\nred; blue\ngreen\n") == {"note": ["red; blue", "green"]}


@pytest.mark.parametrize(
    "above", ["# exported by hand, 2024\n", "#one\n\n# two, three, four\n", "\n\n"]
)
def test_comments_above_the_header_are_left_out(tmp_path, above):
    assert read(tmp_path / "rows.csv", written(";", above)) == EXPECTED


def test_a_header_may_begin_with_the_mark_of_comments(tmp_path):
    assert read(tmp_path / "a.csv", "#number,city\n1,x\n") == {"#number": [1], "city": ["x"]}


@pytest.mark.parametrize("note", ["# end of export", "-- end", "(60 rows affected)", "(60 rows)"])
def test_comments_and_notes_below_the_header_are_left_out(tmp_path, note):
    content = written(",", "# above\n")
    middle = content.index("30,")
    content = f"{content[:middle]}# page 2\n{content[middle:]}\n{note}\n"
    assert read(tmp_path / "rows.csv", content) == EXPECTED
    assert read(tmp_path / "latin.csv", content, "cp1252") == EXPECTED


def test_a_mark_of_comments_within_quotes_is_part_of_a_cell(tmp_path):
    content = 'a,b\n1,"two\n# lines"\n# a comment\n2,x\n'
    assert read(tmp_path / "a.csv", content) == {"a": [1, 2], "b": ["two\n# lines", "x"]}


def test_a_short_row_that_is_no_note_is_damage(tmp_path):
    with pytest.raises(DataError, match="Expected 2 columns, got 1"):
        read(tmp_path / "a.csv", "a,b\n1,2\n3\n# a comment\n")


def test_an_encoding_that_cannot_be_told_is_no_damage(tmp_path):
    with pytest.raises(DataError, match=r"another encoding\. Write it as UTF-8"):
        read(tmp_path / "a.csv", "city\n" + "Zürich\n" * 20, "cp437")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_other_encodings_are_read(tmp_path, encoding):
    assert read(tmp_path / "rows.csv", written(","), encoding) == EXPECTED


def test_an_encoding_that_shows_late_is_read_from_the_first_line(tmp_path):
    plain = "number,city\n" + "1,Berlin\n" * 60_000
    found = read(tmp_path / "rows.csv", plain + "2,São\n", "cp1252")
    assert found["city"][-1] == "São"
    assert len(found["city"]) == 60_001


def test_bytes_that_are_no_text_are_refused_with_what_to_do(tmp_path):
    (tmp_path / "a.csv").write_bytes(written(",").encode("utf-16-le"))
    assert not (tmp_path / "a.csv").read_bytes().startswith(codecs.BOM_UTF16_LE)
    with pytest.raises(DataError, match=r"bytes of 0, as UTF-16 .* Write it as UTF-8"):
        open_table(str(tmp_path / "a.csv"))


def test_columns_without_a_name_are_called_by_their_place(tmp_path):
    found = read(tmp_path / "a.csv", ",x,\n0,1.5,a\n1,2.5,b\n")
    assert found == {"Unnamed: 0": [0, 1], "x": [1.5, 2.5], "Unnamed: 2": ["a", "b"]}


def test_a_column_may_be_read_as_it_is_written(tmp_path):
    (tmp_path / "a.csv").write_text("code,n\n007,1\n,2\n12,3\n")
    table = open_table(str(tmp_path / "a.csv"))
    assert table.read().column("code").to_pylist() == [7, None, 12]
    text = table.as_text(["code", "elsewhere"])
    assert text.schema.field("code").type == pa.string()
    assert text.read().to_pydict() == {"code": ["007", None, "12"], "n": [1, 2, 3]}


@pytest.mark.parametrize(
    "above", ["Report of sales\n\n", "% made by hand\n", "// one\n// two\n", "sep=;\n", '"sep=;"\n']
)
def test_titles_and_the_line_that_excel_writes_are_left_out(tmp_path, above):
    rows = "".join(f"{number};x\n" for number in range(20))
    found = read(tmp_path / "a.csv", f"{above}number;city\n{rows}")
    assert found == {"number": list(range(20)), "city": ["x"] * 20}


@pytest.mark.parametrize("mark", [":", "^", "~", "\x01", "¦", " "])
def test_fields_set_apart_by_another_mark_are_no_column_of_text(tmp_path, mark):
    rows = "".join(f"{number}{mark}x\n" for number in range(20))
    with pytest.raises(DataError, match="between 2 fields in every line"):
        read(tmp_path / "a.csv", f"number{mark}city\n{rows}")


@pytest.mark.parametrize("row", ["Ann Smith\n", "12:30\n"])
def test_texts_of_two_words_stay_one_column(tmp_path, row):
    head = "full name" if " " in row else "departure"
    assert read(tmp_path / "a.csv", f"{head}\n{row * 20}") == {head: [row.strip()] * 20}


def test_utf_32_is_read(tmp_path):
    (tmp_path / "a.csv").write_bytes("city,x\nZürich,1\n".encode("utf-32"))
    assert open_table(str(tmp_path / "a.csv")).read().to_pydict() == {"city": ["Zürich"], "x": [1]}


def test_parquet_under_the_name_of_csv_is_parquet(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.csv")
    assert open_table(str(tmp_path / "a.csv")).format == "parquet"


def test_decimal_commas_cut_no_rows_below_a_header_with_semicolons(tmp_path):
    rows = "".join(f"{number},5;{number}\n" for number in range(20))
    found = read(tmp_path / "a.csv", f"temp;x\n{rows}")
    assert (list(found), found["x"]) == (["temp", "x"], list(range(20)))


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"PK\x03\x04...", "a zip archive"),
        (b"ORC...", "ORC"),
        (b"ARROW1..", "an Arrow file"),
        (b'{"a": 1}\n', "JSON"),
        (b"BZh9...", "bzip2"),
    ],
)
def test_a_format_that_is_not_read_is_named(tmp_path, head, named):
    (tmp_path / "rows.dat").write_bytes(head)
    with pytest.raises(DataError, match=f"which is {named}.* Write its rows as one of them"):
        open_table(str(tmp_path / "rows.dat"))


@pytest.mark.parametrize("rest", ["2,b\n3,c\n", ""])
def test_a_quote_that_is_never_closed_is_told_and_swallows_no_rows(tmp_path, rest):
    path = tmp_path / "a.csv"
    path.write_text('x,g\n0,a\n1,"a\n' + rest)
    with pytest.raises(DataError, match="received one in row 2 that is not"):
        open_table(str(path))
    path.write_text('x,g\n0,5" pipe\n1,"a\nb ""c"""\n')
    assert open_table(str(path)).rows == 2
