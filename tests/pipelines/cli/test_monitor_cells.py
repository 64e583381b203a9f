"""Cells are read as the reference has them: markers, decimal marks, codes, fractions, lists."""

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, entry_of, frame, monitored, save

from tfx_loop.pipelines.cli import main


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return save(frame(0), tmp_path_factory.mktemp("reference"), "reference")


def measured_as_text(seed, scale=1.0, marker="?", decimal="."):
    random = np.random.default_rng(seed)
    texts = np.array([f"{value:.2f}" for value in random.normal(50, 10, ROWS) * scale], object)
    texts = np.array([text.replace(".", decimal) for text in texts], object)
    texts[random.random(ROWS) < 0.02] = marker
    return pd.DataFrame({"temp": texts, "x": random.normal(size=ROWS)})


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("marker", ["?", "None", "-"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_numbers_with_markers_and_commas_are_compared_as_numbers(
    capsys, tmp_path, kind, marker, decimal
):
    style = {"marker": marker, "decimal": decimal}
    reference = save(measured_as_text(1, **style), tmp_path, "reference", kind)
    same = save(measured_as_text(2, **style), tmp_path, "same", kind)
    scaled = save(measured_as_text(3, 1_000.0, **style), tmp_path, "scaled", kind)
    _, report = monitored(capsys, reference, same)
    temp = entry_of(report, "temp")
    assert (report["verdict"], temp["type"], temp["fault"]) == ("STABLE", "numeric", None)
    assert 0.01 < temp["missing_share"] < 0.03
    assert temp["note"].endswith(f"read as missing, such as {marker!r}")
    status, report = monitored(capsys, reference, scaled)
    assert (status, report["verdict"]) == (3, "DATA_FAULT")
    assert entry_of(report, "temp")["fault"] in ("out_of_range", "unit_changed")


@pytest.mark.parametrize(
    "written",
    ["${:,.2f}", "{:.3f} kg", "{:.1f} %", "{:_.0f}", "{:.3f}"],
    ids=["currency", "unit", "percent", "gaps", "three decimals"],
)
def test_numbers_are_compared_whatever_stands_around_them(capsys, tmp_path, written):
    def amounts(seed, middle):
        values = np.random.default_rng(seed).normal(middle, 0.1 * middle, ROWS)
        texts = [written.format(value).replace("_", " ") for value in values]
        return pd.DataFrame({"amount": [*texts[:-9], *["n/a"] * 9]})

    reference = save(amounts(1, 5_000.0), tmp_path, "reference", "csv")
    same = save(amounts(2, 5_000.0), tmp_path, "same", "csv")
    larger = save(amounts(3, 5_250.0), tmp_path, "larger", "csv")
    _, report = monitored(capsys, reference, same)
    assert (report["verdict"], entry_of(report, "amount")["type"][:3]) in [
        ("STABLE", "num"),
        ("STABLE", "int"),
    ]
    _, report = monitored(capsys, reference, larger)
    assert (report["verdict"], entry_of(report, "amount")["drifted"]) == ("DRIFT", True)


def test_cells_that_are_no_numbers_are_a_fault_once_they_are_many_and_are_shown(capsys, tmp_path):
    reference = save(measured_as_text(1), tmp_path, "reference", "csv")
    for share, verdict in [(0.002, "STABLE"), (0.05, "DATA_FAULT")]:
        content = measured_as_text(2)
        bad = np.random.default_rng(3).random(ROWS) < share
        content.loc[bad, "temp"] = "ERR 17"
        _, report = monitored(capsys, reference, save(content, tmp_path, "current", "csv"))
        temp = entry_of(report, "temp")
        assert report["verdict"] == verdict
        assert f"{bad.sum():,} cells do not fit, such as 'ERR 17'" in temp["note"]
        assert temp["fault"] == (None if verdict == "STABLE" else "type_changed")


def test_missing_values_and_the_decimal_mark_can_be_given(capsys, tmp_path):
    reference = save(measured_as_text(1, marker="nix"), tmp_path, "reference", "csv")
    current = save(measured_as_text(2, marker="nix"), tmp_path, "current", "csv")
    _, report = monitored(capsys, reference, current, "--missing-values", "nix")
    assert entry_of(report, "temp")["note"].endswith("read as missing, such as 'nix'")
    _, report = monitored(capsys, reference, current)
    assert "cells do not fit, such as 'nix'" in entry_of(report, "temp")["note"]
    _, report = monitored(capsys, reference, current, "--decimal", ",")
    assert entry_of(report, "temp")["type"] != "numeric"


def test_the_reference_decides_whether_codes_are_text(capsys, tmp_path):
    def codes(seed, kind, rare=0.0):
        random = np.random.default_rng(seed)
        texts = np.where(random.random(ROWS) < rare, "U", random.choice(list("123456"), ROWS))
        content = pd.DataFrame({"code": texts, "x": random.normal(size=ROWS)})
        return save(content, tmp_path, f"{kind}{seed}", kind)

    for reference, current in [
        (codes(1, "parquet"), codes(2, "csv")),
        (codes(3, "csv", 0.002), codes(4, "csv")),
        (codes(5, "csv", 0.1), codes(6, "csv", 0.1)),
    ]:
        _, report = monitored(capsys, reference, current)
        assert report["verdict"] == "STABLE", report["explanation"]


def test_lists_of_another_length_are_a_fault(capsys, tmp_path):
    def embedded(seed, size):
        random = np.random.default_rng(seed)
        content = frame(seed)[["temperature"]]
        content["embedding"] = list(random.normal(size=(ROWS, size)))
        return save(content, tmp_path, f"e{seed}")

    reference = embedded(1, 8)
    assert monitored(capsys, reference, embedded(2, 8))[1]["verdict"] == "STABLE"
    _, report = monitored(capsys, reference, embedded(3, 5))
    broken = entry_of(report, "embedding#value")
    assert (report["verdict"], broken["fault"]) == ("DATA_FAULT", "type_changed")
    assert "1,500 cells do not fit, such as 'a list of 5'" in broken["note"]


@pytest.mark.slow
def test_values_that_are_all_new_are_a_flood_though_most_have_no_bin(capsys, tmp_path):
    def sold(seed, form):
        numbers = np.random.default_rng(seed).integers(0, 4_000, 10_000)
        content = pd.DataFrame({"sku": [form.format(number) for number in numbers]})
        return save(content, tmp_path, f"{seed}")

    reference = sold(1, "SKU-{:06d}")
    assert monitored(capsys, reference, sold(2, "SKU-{:06d}"))[1]["verdict"] == "STABLE"
    status, report = monitored(capsys, reference, sold(3, "sku_{:06d}"))
    flood = entry_of(report, "sku")
    assert (status, report["verdict"], flood["fault"]) == (3, "DATA_FAULT", "new_category_flood")
    assert flood["note"].startswith(
        "100% are values that the reference does not have, such as 'sku_"
    )


def test_a_fault_of_decimal_commas_names_the_option_that_reads_them(capsys, tmp_path):
    path = save(measured_as_text(1, marker=""), tmp_path, "a", "csv")
    commas = measured_as_text(2, marker="", decimal=",")
    current = tmp_path / "b.csv"
    commas.to_csv(current, index=False, sep=";")
    files = ["monitor", "--reference", path, "--current", str(current)]
    assert main.main(files) == 3
    out = capsys.readouterr().out
    assert "type_changed" in out
    assert "`--decimal ,`" in out.splitlines()[-1]
    _, report = monitored(capsys, path, str(current), "--decimal", ",")
    assert entry_of(report, "temp")["fault"] is None
    commas.loc[5, "temp"] = "ERR 17"
    commas.to_csv(current, index=False, sep=";")
    assert main.main(files) == 3
    assert "--decimal" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_whole_numbers_may_have_a_few_fractions(capsys, tmp_path, kind):
    path = save(frame(0)[["age", "price"]], tmp_path, "a", kind)
    current = frame(1)[["age", "price"]]
    some = current.assign(age=current.age + np.where(current.index % 33 == 0, 0.3, 0))
    status, report = monitored(capsys, path, save(some, tmp_path, "b", kind))
    assert (status, report["verdict"]) == (0, "STABLE")
    note = next(entry["note"] for entry in report["features"] if entry["feature"] == "age")
    assert "46 cells are no whole numbers" in note
    all_of_them = save(current.assign(age=current.age + 0.3), tmp_path, "c", kind)
    status, report = monitored(capsys, path, all_of_them)
    assert (status, report["features"][0]["fault"]) == (3, "type_changed")


@pytest.mark.parametrize(
    ("usual", "odd"),
    [(["true", "false"], "unknown"), (["1", "2", "3"], "U"), (["0.5", "2.25"], "x")],
)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kinds", [("csv", "csv"), ("parquet", "csv"), ("csv", "parquet")])
def test_one_odd_cell_on_either_side_leaves_the_type(capsys, tmp_path, usual, odd, side, kinds):
    files = []
    for place, kind in enumerate(kinds):
        values = np.random.default_rng(place).choice(usual, ROWS).astype(object)
        if place == side:
            values[7] = odd
        files.append(save(pd.DataFrame({"f": values}), tmp_path, str(place), kind))
    status, report = monitored(capsys, *files)
    assert (status, report["verdict"]) == (0, "STABLE")
