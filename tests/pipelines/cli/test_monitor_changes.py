"""From where to where a feature moved, in JSON and terminal; rows of unequal weight."""

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, entry_of, frame, monitored, save

from tfx_loop.pipelines.cli import main


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_both_sides_are_summed_up_as_pandas_sums_them_up(capsys, tmp_path, kind):
    sides = frame(0), frame(1).assign(temperature=frame(1).temperature * 1.5 + 4)
    files = [save(side, tmp_path, name, kind) for side, name in zip(sides, "ab", strict=True)]
    _, report = monitored(capsys, *files)
    for name in ("temperature", "price", "age", "gaps"):
        change = entry_of(report, name)["change"]
        for side, content in zip(("reference", "current"), sides, strict=True):
            told, column = change[side], content[name]
            assert told["rows"] == ROWS
            assert told["missing_share"] == pytest.approx(column.isna().mean())
            assert told["mean"] == pytest.approx(column.mean(), rel=1e-6)
            assert told["std"] == pytest.approx(column.std(ddof=0), rel=1e-6)
            # Bins and samples hold floats as a tf.Example does, in 32 bits.
            assert told["minimum"] == pytest.approx(column.min(), rel=1e-6)
            assert told["maximum"] == pytest.approx(column.max(), rel=1e-6)
            quantiles = column.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
            assert told["quantiles"] == {
                f"{q:g}": pytest.approx(value, rel=1e-5) for q, value in quantiles.items()
            }
        shares = [(entry["reference"], entry["current"]) for entry in change["bins"]]
        missing = [change[side]["missing_share"] for side in ("reference", "current")]
        assert np.sum(shares, axis=0) + missing == pytest.approx([1, 1])
    edges = [entry["up_to"] for entry in entry_of(report, "price")["change"]["bins"]]
    assert edges[:-1] == sorted(edges[:-1])
    assert edges[-1] is None


def test_means_of_values_far_out_are_exact(capsys, tmp_path):
    current = frame(1)
    current["age"] = current["age"].where(current.index % 8 > 0, 99_999)
    files = save(frame(0), tmp_path, "a"), save(current, tmp_path, "b")
    _, report = monitored(capsys, *files)
    told = entry_of(report, "age")["change"]["current"]
    assert told["mean"] == pytest.approx(current["age"].mean(), rel=1e-9)
    assert told["maximum"] == 99_999


def test_categories_of_both_sides_are_told_with_those_that_are_new(capsys, tmp_path):
    current = frame(1)
    current["plan"] = current["plan"].where(current.index % 3 > 0, "gold")
    files = save(frame(0), tmp_path, "a"), save(current, tmp_path, "b")
    _, report = monitored(capsys, *files)
    change = entry_of(report, "plan")["change"]
    shares = frame(0)["plan"].value_counts(normalize=True)
    assert change["reference"]["top"] == [
        {"value": value, "share": pytest.approx(share)} for value, share in shares.items()
    ]
    assert change["current"]["unseen"] == ["gold"]
    assert change["reference"]["mean"] is None
    rest = change["bins"][-1]
    assert (rest["value"], rest["reference"], rest["current"]) == (None, 0, pytest.approx(1 / 3))
    assert entry_of(report, "at")["change"] is None


def test_of_hidden_features_shares_alone_are_told(capsys, tmp_path):
    rare = frame(1)
    rare.loc[:2, "plan"] = "VIP of Ms Smith"
    files = save(rare, tmp_path, "a"), save(frame(2), tmp_path, "b")
    key = ("--redact-key", str(tmp_path / "redaction.key"))
    _, report = monitored(capsys, *files, *key, "--redact", "price", "--redact", "city")
    price = entry_of(report, "price")["change"]
    assert {price["current"][name] for name in ("mean", "std", "minimum", "maximum")} == {None}
    assert price["current"]["quantiles"] == {}
    assert {(entry["above"], entry["up_to"]) for entry in price["bins"]} == {(None, None)}
    city = entry_of(report, "city")["change"]
    assert all(entry["value"].startswith("#") for entry in city["reference"]["top"])
    assert not {entry["value"] for entry in city["bins"]} & set(frame(1)["city"])
    plan = entry_of(report, "plan")["change"]
    assert {entry["value"] for entry in plan["bins"]} == {"free", "basic", "pro", None}
    assert plan["bins"][-1]["reference"] == pytest.approx(3 / ROWS)
    assert "Smith" not in str(plan)


def test_the_terminal_tells_from_where_to_where(capsys, tmp_path):
    current = frame(1).assign(temperature=frame(1).temperature + 4)
    files = save(frame(0), tmp_path, "a"), save(current, tmp_path, "b")
    page = tmp_path / "page.html"
    command = ["monitor", "--reference", files[0], "--current", files[1], "--page", str(page)]
    assert main.main(command) == 3
    out = capsys.readouterr().out
    means = [f"{side.temperature.mean():,.4g}" for side in (frame(0), current)]
    told = next(line.split() for line in out.splitlines() if " mean " in line)
    assert told == ["temperature", "mean", *means]
    assert "price" not in out.split("what changed")[1]
    assert all(mean in page.read_text() for mean in means)


def survey(seed, weighted):
    """Ages of a sample in which every second row is of 20 old people for each young one.

    Weighted, the sample says what the world is; in the other half of the cases the rows are the
    world's own.
    """
    random = np.random.default_rng(seed)
    rows = 4_000
    old = random.random(rows) < (2 / 3 if weighted else 0.5)
    return pd.DataFrame(
        {
            "x": random.normal(size=rows) + 2.0 * old,
            "group": np.where(old, "old", "young"),
            "w": np.where(old, 1.0, 2.0) if weighted else np.ones(rows),
        }
    )


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_rows_count_by_their_weight(capsys, tmp_path, kind):
    files = [save(survey(seed, seed % 2 == 0), tmp_path, str(seed), kind) for seed in (0, 1)]
    status, report = monitored(capsys, *files, "--ignore", "w")
    assert (status, report["verdict"]) == (3, "DRIFT")
    status, report = monitored(capsys, *files, "--weight", "w")
    assert (status, report["verdict"]) == (0, "STABLE")
    # Kish: a third of weight 2 and two thirds of weight 1 tell as much as 16/18 of the rows.
    weights = survey(0, True)["w"]
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert report["rows"] == {"reference": pytest.approx(effective, rel=0.01), "current": 4_000}
    note = entry_of(report, "w")["note"]
    assert note.startswith("named as the weight of the rows: 4,000 rows as 4,000 of equal weight")
    told = entry_of(report, "x")["change"]["reference"]
    mean = np.average(survey(0, True)["x"], weights=weights)
    assert told["mean"] == pytest.approx(mean, abs=0.01)
    young = entry_of(report, "group")["change"]["bins"]
    shares = {entry["value"]: entry["reference"] for entry in young}
    assert shares["young"] == pytest.approx(0.5, abs=0.02)


def test_rows_without_weight_are_left_out_and_weights_below_zero_refused(capsys, tmp_path):
    content = survey(0, False)
    content.loc[:999, "w"] = 0.0
    content.loc[1_000:1_499, "w"] = np.nan
    path = save(content, tmp_path, "a")
    _, report = monitored(capsys, path, path, "--weight", "w")
    assert report["rows"] == {"reference": 2_500, "current": 2_500}
    content.loc[7, "w"] = -1.0
    below = save(content, tmp_path, "b")
    command = ["monitor", "--reference", path, "--current", below, "--weight", "w"]
    assert main.main(command) == 1
    assert "weights of at least 0 in 'w' of" in capsys.readouterr().err
    lacking = save(content.drop(columns="w"), tmp_path, "c")
    assert main.main([*command[:3], "--current", lacking, "--weight", "w"]) == 1
    assert "the column of weights 'w'" in capsys.readouterr().err
