"""The same table is the same in every format, and lists are held to what the reference has."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from monitored_files import entry_of, monitored, save

ROWS = 3_000


def categories(seed, word, share=0.1):
    random = np.random.default_rng(seed)
    colours = random.choice(["red", "green", "blue"], ROWS).astype(object)
    colours[random.random(ROWS) < share] = word
    return pd.DataFrame({"colour": colours, "x": random.normal(size=ROWS)})


@pytest.mark.parametrize("word", ["", "N/A", "NULL", "nan", "?"])
@pytest.mark.parametrize("kinds", [("csv", "parquet"), ("parquet", "csv"), ("parquet", "parquet")])
def test_a_word_for_a_missing_category_means_the_same_in_every_format(
    capsys, tmp_path, word, kinds
):
    reference = save(categories(1, word), tmp_path, "reference", kinds[0])
    current = save(categories(2, word), tmp_path, "current", kinds[1])
    _, report = monitored(capsys, reference, current)
    assert report["verdict"] == "STABLE"
    # A question mark may be an answer; what pandas and Arrow read as missing in CSV is none.
    missing = entry_of(report, "colour")["missing_share"]
    assert missing == 0 if word == "?" else 0.07 < missing < 0.13


def test_a_word_is_missing_among_categories_where_somebody_says_so(capsys, tmp_path):
    reference = save(categories(1, "?"), tmp_path, "reference")
    current = save(categories(2, "?", 0.5), tmp_path, "current")
    _, report = monitored(capsys, reference, current)
    assert report["verdict"] == "DRIFT"
    _, report = monitored(capsys, reference, current, "--missing-values", "?")
    assert entry_of(report, "colour")["fault"] == "missing_flood"


def tags(seed, form):
    random = np.random.default_rng(seed)
    found = [[form.format(tag) for tag in random.integers(0, 4_000, 3)] for _ in range(ROWS)]
    return pa.table({"x": random.normal(size=ROWS), "tags": found})


@pytest.mark.slow
def test_lists_of_many_categories_that_are_all_new_are_a_flood(capsys, tmp_path):
    for name, content in (("a", tags(1, "t{}")), ("b", tags(2, "t{}")), ("c", tags(3, "T-{}"))):
        pq.write_table(content, tmp_path / name)
    _, report = monitored(capsys, str(tmp_path / "a"), str(tmp_path / "b"))
    assert report["verdict"] == "STABLE"
    _, report = monitored(capsys, str(tmp_path / "a"), str(tmp_path / "c"))
    found = entry_of(report, "tags#value")
    assert (report["verdict"], found["fault"]) == ("DATA_FAULT", "new_category_flood")
    assert "100% are values that the reference does not have" in found["note"]


def test_lists_of_a_constant_length_that_are_single_numbers_now_are_a_fault(capsys, tmp_path):
    random = np.random.default_rng(0)
    lists = pa.array(list(random.normal(size=(ROWS, 3))))
    pq.write_table(pa.table({"v": lists}), tmp_path / "a")
    pq.write_table(pa.table({"v": random.normal(size=ROWS)}), tmp_path / "b")
    _, report = monitored(capsys, str(tmp_path / "a"), str(tmp_path / "b"))
    found = entry_of(report, "v#value")
    assert (report["verdict"], found["fault"]) == ("DATA_FAULT", "type_changed")
    assert "3,000 cells do not fit, such as 'a single value'" in found["note"]
