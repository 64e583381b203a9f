"""A page is one file: nothing in it reaches out, nothing in it is taken for markup."""

import re

import pytest

from tfx_loop.presentation.document import document, header, section, table


def test_a_page_is_one_file_without_script_or_network():
    page = document("t", header("k", "h", [("rows", "3")]), [section("s", "lead", "<svg></svg>")])
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")


def test_texts_are_escaped():
    page = document("<t>", header("<k>", "<h>", [("<n>", "<v>")]), [section("<s>", "<l>")])
    page += table(["<a>"], [["<b>"]])
    assert re.findall(r"<[tknvhlab]>", page.replace("<h1>", "").replace("<h2>", "")) == []


def test_empty_sections_are_left_out_and_own_style_comes_last():
    page = document("t", "", ["", section("kept", "")], style=".mine{}")
    assert page.count("<section>") == 1
    assert page.index(".mine{}") > page.index("--paper")


def test_number_columns_are_aligned_right_and_short_rows_refused():
    assert "<td class=number>7</td>" in table(["name", "size"], [["a", "7"]], numbers=["size"])
    with pytest.raises(ValueError, match="zip"):
        table(["name", "size"], [["a"]])
