"""What somebody allows is allowed: missing values, groups that say nothing, absent columns."""

import re

import numpy as np
import pandas as pd
import pytest
from monitored_files import entry_of, monitored, save

from tfx_loop.pipelines.cli import main

ROWS = 3_000


def with_gaps(seed, share, rows=ROWS):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": random.normal(size=rows), "y": random.normal(size=rows)})
    frame.loc[random.random(rows) < share, "x"] = np.nan
    return frame


@pytest.mark.parametrize(
    "config", ["missing_rise = 0.5", "[columns]\nx = { missing_rise = 0.5 }"], ids=["all", "one"]
)
def test_missing_values_may_rise_as_far_as_somebody_allows(capsys, tmp_path, config):
    reference = save(with_gaps(1, 0.01), tmp_path, "reference")
    some = save(with_gaps(2, 0.3), tmp_path, "some")
    most = save(with_gaps(3, 0.7), tmp_path, "most")
    (tmp_path / "config.toml").write_text(config)
    options = "--config", str(tmp_path / "config.toml")
    assert monitored(capsys, reference, some)[1]["verdict"] == "DATA_FAULT"
    _, report = monitored(capsys, reference, some, *options)
    x = entry_of(report, "x")
    assert (report["verdict"], x["fault"]) == ("STABLE", None)
    assert (x["psi_corrected"] < 0.01, 0.28 < x["missing_share"] < 0.32) == (True, True)
    assert entry_of(monitored(capsys, reference, most, *options)[1], "x")["fault"]
    moved = with_gaps(2, 0.3)
    moved["x"] += 0.5
    _, report = monitored(capsys, reference, save(moved, tmp_path, "moved"), *options)
    assert entry_of(report, "x")["drifted"]


def grouped(seed, groups):
    frame = with_gaps(seed, 0.0)
    return frame.assign(shop=np.resize(np.asarray(groups, object), ROWS))


MANY = [f"s{number}" for number in range(300)]


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (MANY, MANY, ""),
        (["s"], ["s"], "has one value in all rows of the reference"),
        (MANY, ["s"], "has one value in all rows of the current file"),
        (MANY, [None], "has no value in any row of the current file"),
        (MANY, [None, *MANY], ""),
        (MANY, [None, "s1", "s2", "s3"], "has no value in 2"),
    ],
)
def test_a_group_that_says_nothing_is_told(capsys, tmp_path, before, now, told):
    reference = save(grouped(1, before), tmp_path, "reference")
    current = save(grouped(2, now), tmp_path, "current")
    _, report = monitored(capsys, reference, current, "--group", "shop")
    assert report["verdict"] == "STABLE"
    found = [warning for warning in report["warnings"] if "the group `shop`" in warning]
    assert any(told in warning for warning in found) if told else not found


def test_the_only_new_column_of_its_kind_may_be_the_one_that_is_gone(capsys, tmp_path):
    reference = save(with_gaps(1, 0.0), tmp_path, "reference")
    renamed = with_gaps(2, 0.0).rename(columns={"x": "total"}).assign(word="a")
    assert main.main(["monitor", "--reference", reference, "--current",
                      save(renamed, tmp_path, "current")]) == 3  # fmt: skip
    out = capsys.readouterr().out
    assert "no such column in the current file. Is it 'total', which is new?" in out
    assert "Name a label that comes later than the rest with --label COLUMN." in out


def test_rows_of_unequal_weight_are_told_as_what_they_are_worth(capsys, tmp_path):
    files = []
    for seed in (1, 2):
        weights = np.random.default_rng(seed).choice([1, 10], ROWS)
        files.append(save(with_gaps(seed, 0.0).assign(w=weights), tmp_path, f"w{seed}"))
    words = ["monitor", "--reference", files[0], "--current", files[1], "--weight", "w"]
    main.main([*words, "--page", str(tmp_path / "page.html")])
    out = capsys.readouterr().out
    # Half of the rows weigh 10, half 1: 60 of 100 tell as much.
    worth = re.search(r"As much as (1,\d{3}) rows of equal weight against (1,\d{3}) of", out)
    assert worth
    assert all(1_700 < int(rows.replace(",", "")) < 1_900 for rows in worth.groups())
    assert "rows of equal weight now" in (tmp_path / "page.html").read_text()


def test_chunks_without_rows_enough_are_told(capsys, tmp_path):
    reference, current = (save(with_gaps(s, 0.0, 500), tmp_path, f"c{s}") for s in (1, 2))
    _, report = monitored(capsys, reference, current, "--every", "60")
    assert report["explanation"].endswith("none of 9 chunks has the 100 rows that it takes.")


@pytest.mark.parametrize("content", ["", "  \n# nothing\n"])
def test_a_schema_without_features_is_refused(capsys, tmp_path, content):
    reference = save(with_gaps(1, 0.0), tmp_path, "reference")
    (tmp_path / "empty.pbtxt").write_text(content)
    words = ["--reference", reference, "--current", reference]
    assert main.main(["monitor", *words, "--schema", str(tmp_path / "empty.pbtxt")]) == 1
    assert "received a schema of none. Give the schema.pbtxt" in capsys.readouterr().err
