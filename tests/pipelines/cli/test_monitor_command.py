"""`loop monitor` answers for any two files, with the verdict, the JSON and the exit status."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfx_loop.pipelines.cli import main

ROWS = 1_500


def frame(seed, rows=ROWS, first=0):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "row": np.arange(first, first + rows),
            "request_id": [f"r{random.integers(1 << 60)}" for _ in range(rows)],
            "at": pd.date_range("2024-01-01", periods=rows, freq="min") + pd.Timedelta(days=first),
            "temperature": random.normal(15, 8, rows),
            "price": random.lognormal(3, 1, rows),
            "age": random.integers(18, 90, rows),
            "member": random.random(rows) < 0.3,
            "plan": random.choice(["free", "basic", "pro"], rows, p=[0.6, 0.3, 0.1]),
            "city": [f"c{i}" for i in random.zipf(1.6, rows) % 300],
            "gaps": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows)),
        }
    )


def save(content, folder, name, kind="parquet"):
    path = folder / f"{name}.{kind}"
    content.to_parquet(path, index=False) if kind == "parquet" else content.to_csv(
        path, index=False
    )
    return str(path)


def monitored(capsys, reference, current, *options):
    status = main.main(
        ["monitor", "--reference", reference, "--current", current, "--json", *options]
    )
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return save(frame(0), tmp_path_factory.mktemp("reference"), "reference")


def test_the_same_world_is_stable_and_keys_and_times_are_named(capsys, tmp_path, reference):
    status, report = monitored(capsys, reference, save(frame(1, first=ROWS), tmp_path, "b"))
    assert (status, report["verdict"], report["reason"]) == (0, "STABLE", "no_drift")
    assert report["rows"] == {"reference": ROWS, "current": ROWS}
    types = {entry["feature"]: entry["type"] for entry in report["features"]}
    assert types == {
        "row": "identifier", "request_id": "identifier", "at": "time", "temperature": "numeric",
        "price": "numeric", "age": "integer", "member": "boolean", "plan": "categorical",
        "city": "categorical", "gaps": "numeric",
    }  # fmt: skip
    assert {
        "feature", "type", "psi", "ks", "p_value", "q_value", "drifted", "fault"
    } <= set(report["features"][0])  # fmt: skip
    untested = [entry for entry in report["features"] if entry["p_value"] is None]
    assert {entry["feature"] for entry in untested} == {"row", "request_id", "at"}
    assert all(entry["note"] for entry in untested)


CHANGES = {
    "shift": (lambda d: d.assign(temperature=d.temperature + 4), "DRIFT", "temperature", None),
    "spread": (lambda d: d.assign(gaps=d.gaps * 1.6), "DRIFT", "gaps", None),
    "swap": (
        lambda d: d.assign(plan=d.plan.replace({"free": "pro", "pro": "free"})),
        "DRIFT", "plan", None,
    ),
    "dropped": (lambda d: d.drop(columns="price"), "DATA_FAULT", "price", "absent_feature"),
    "constant": (lambda d: d.assign(price=9.9), "DATA_FAULT", "price", "constant_value"),
    "stuck": (
        lambda d: d.assign(price=d.price.where(d.index < ROWS // 2, 9.9)),
        "DATA_FAULT", "price", "stuck_value",
    ),
    "thousand": (lambda d: d.assign(price=d.price * 1e3), "DATA_FAULT", "price", "unit_changed"),
    "fahrenheit": (
        lambda d: d.assign(temperature=d.temperature * 1.8 + 32),
        "DATA_FAULT", "temperature", "unit_changed",
    ),
    "nulls": (
        lambda d: d.assign(price=d.price.where(d.index % 2 == 0)),
        "DATA_FAULT", "price", "missing_flood",
    ),
    "no values": (lambda d: d.assign(price=np.nan), "DATA_FAULT", "price", "all_missing"),
    "new": (
        lambda d: d.assign(plan=d.plan.where(d.index % 3 > 0, "gold")),
        "DATA_FAULT", "plan", "new_category_flood",
    ),
    "twice": (
        lambda d: pd.concat([d[: ROWS // 2]] * 2).assign(row=range(ROWS)),
        "DATA_FAULT", "(rows)", "duplicate_flood",
    ),
    "range": (
        lambda d: d.assign(age=d.age.where(d.index % 8 > 0, 99_999)),
        "DATA_FAULT", "age", "out_of_range",
    ),
    "type": (
        lambda d: d.assign(price="p" + d.price.astype(str)),
        "DATA_FAULT", "price", "type_changed",
    ),
    "infinite": (
        lambda d: d.assign(price=d.price.where(d.index > 3, np.inf)),
        "DATA_FAULT", "price", "infinite_values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_moved_or_broke_is_named(capsys, tmp_path, change, kind):
    altered, verdict, feature, fault = CHANGES[change]
    before = save(frame(0), tmp_path, "a", kind)
    after = save(altered(frame(1, first=ROWS)), tmp_path, "b", kind)
    status, report = monitored(capsys, before, after)
    assert (status, report["verdict"]) == (3, verdict)
    assert report["features"][0]["feature"] == feature
    assert report["features"][0]["fault"] == fault
    assert report["features"][0]["drifted"] == (verdict == "DRIFT")
    assert feature in report["explanation"]


def test_what_moves_by_nature_is_ignored(capsys, tmp_path, reference):
    moved = save(CHANGES["shift"][0](frame(1)), tmp_path, "b")
    status, report = monitored(capsys, reference, moved, "--ignore", "temperature")
    assert (status, report["verdict"]) == (0, "STABLE")
    assert "temperature" not in {entry["feature"] for entry in report["features"]}


def test_a_slice_that_moved_alone_is_found(capsys, tmp_path, reference):
    after = frame(1)
    after.loc[after.plan == "pro", "price"] *= 2.2
    status, report = monitored(
        capsys, reference, save(after, tmp_path, "b"), "--by", "plan", "--min-rows", "50"
    )
    drifted = {(e["feature"], e["slice"]) for e in report["slices"] if e["drifted"]}
    assert ("price", "plan=pro") in drifted
    assert status == 3
    assert {e["slice"] for e in report["slices"]} == {"plan=free", "plan=basic", "plan=pro"}
    assert not {e["slice"] for e in report["features"]} - {""}


def test_slices_of_a_number_are_quarters(capsys, tmp_path, reference):
    _, report = monitored(capsys, reference, save(frame(1), tmp_path, "b"), "--by", "price")
    assert len({entry["slice"] for entry in report["slices"]}) == 4


@pytest.mark.parametrize("rows", [0, 1, 60])
def test_few_rows_are_not_enough_data(capsys, tmp_path, reference, rows):
    status, report = monitored(capsys, reference, save(frame(1)[:rows], tmp_path, "b"))
    assert (status, report["verdict"]) == (0, "NOT_ENOUGH_DATA")
    assert report["rows"]["current"] == rows


def test_one_row_is_told_in_the_singular(capsys, tmp_path, reference):
    current = save(frame(2, rows=1), tmp_path, "b")
    assert main.main(["monitor", "--reference", str(reference), "--current", str(current)]) in (
        0,
        3,
    )
    told = capsys.readouterr().out
    assert "1 row against" in told
    assert "1 rows" not in told


def test_a_column_that_is_gone_is_a_fault_though_it_had_gaps(capsys, tmp_path, reference):
    status, report = monitored(
        capsys, reference, save(frame(1).drop(columns="gaps"), tmp_path, "b")
    )
    assert status == 3
    faults = {entry["feature"]: entry["fault"] for entry in report["features"]}
    assert faults["gaps"] == "absent_feature"


def test_slices_are_of_all_other_features(capsys, tmp_path, reference):
    _, report = monitored(
        capsys, reference, save(frame(1), tmp_path, "b"), "--by", "gaps", "--min-rows", "50"
    )
    names = {entry["slice"] for entry in report["slices"]}
    assert len(names) == 4
    assert "gaps" not in {entry["feature"] for entry in report["slices"]}


def test_the_alarm_stands_though_nobody_reads_on(tmp_path, reference):
    """As in `loop monitor … | head -1` with pipefail."""
    wide = pd.concat(
        [frame(1).drop(columns="price")] + [frame(1).add_suffix(f"_{i}") for i in range(60)], axis=1
    )
    current = save(wide, tmp_path, "b")
    command = ["monitor", "--reference", reference, "--current", current, "--json"]
    code = f"import sys; from tfx_loop.pipelines.cli import main; sys.exit(main.main({command!r}))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 3
    assert b"BrokenPipe" not in said


def test_a_column_that_lost_its_values_is_one_fault_and_not_repeated_rows(capsys, tmp_path):
    def few(seed, lost=False):
        random = np.random.default_rng(seed)
        x = np.full(500, np.inf) if lost else random.normal(size=500)
        return pd.DataFrame({"x": x, "k": random.choice(list("abc"), 500)})

    before = save(few(0), tmp_path, "a")
    _, report = monitored(capsys, before, save(few(1, lost=True), tmp_path, "b"))
    assert {e["feature"]: e["fault"] for e in report["features"] if e["fault"]} == {
        "x": "infinite_values"
    }


def test_all_nulls_are_a_fault_of_every_feature(capsys, tmp_path, reference):
    nothing = pd.DataFrame({name: [None] * 300 for name in frame(0, 1)})
    status, report = monitored(capsys, reference, save(nothing, tmp_path, "b"))
    assert (status, report["verdict"]) == (3, "DATA_FAULT")
    faults = {entry["fault"] for entry in report["features"] if entry["type"] not in UNTESTED}
    assert faults == {"all_missing"}


UNTESTED = ("identifier", "time")


def test_lists_texts_and_odd_columns(capsys, tmp_path):
    def odd(seed, shift=0.0):
        random = np.random.default_rng(seed)
        sizes = random.integers(0, 4, ROWS)
        return pd.DataFrame(
            {
                "embedding": list(random.normal(shift, 1, (ROWS, 4))),
                "tags": [[f"t{i}" for i in random.integers(0, 9, n)] for n in sizes],
                "note": [" ".join(f"w{i}" for i in random.integers(0, 99, 7)) for _ in range(ROWS)],
                "nested": [{"a": 1}] * ROWS,
            }
        )  # fmt: skip

    before = save(odd(0), tmp_path, "a")
    status, report = monitored(capsys, before, save(odd(1), tmp_path, "b"))
    assert (status, report["verdict"]) == (0, "STABLE")
    types = {entry["type"] for entry in report["features"]}
    assert types == {"multivalent", "text", "unsupported"}
    status, report = monitored(capsys, before, save(odd(1, 0.6), tmp_path, "c"))
    assert (status, report["features"][0]["feature"]) == (3, "embedding#value")


def test_a_broken_correlation_shows_in_all_features_together(capsys, tmp_path):
    def linked(seed, share):
        x = np.random.default_rng(seed).normal(size=(ROWS, 3))
        x[:, 1] = share * x[:, 0] + np.sqrt(1 - share**2) * x[:, 1]
        return pd.DataFrame(x, columns=list("abc"))

    before, after = (save(linked(s, c), tmp_path, f"f{s}") for s, c in ((0, 0.9), (1, 0.0)))
    assert monitored(capsys, before, after)[1]["verdict"] == "STABLE"
    status, report = monitored(capsys, before, after, "--multivariate")
    assert (status, report["features"][0]["feature"]) == (3, "(all features)")
    same = save(linked(2, 0.9), tmp_path, "f2")
    assert monitored(capsys, before, same, "--multivariate")[0] == 0


SCHEMA = """
feature { name: "age" type: INT int_domain { min: 0 max: 60 } presence { min_fraction: 1.0 } }
feature { name: "plan" type: BYTES domain: "plans" }
feature { name: "price" type: FLOAT }
feature { name: "promised" type: FLOAT presence { min_fraction: 1.0 } }
string_domain { name: "plans" value: "free" value: "basic" value: "pro" }
"""


def test_what_breaks_tfdv_s_schema_is_a_fault(capsys, tmp_path, reference):
    (tmp_path / "schema.pbtxt").write_text(SCHEMA)
    options = ("--schema", str(tmp_path / "schema.pbtxt"))
    status, report = monitored(capsys, reference, save(frame(1), tmp_path, "b"), *options)
    faults = {e["feature"]: e["note"] for e in report["features"] if e["fault"]}
    assert status == 3
    assert "outside the domain" in faults["age"]
    assert "not there" in faults["promised"]
    assert "no such feature" in faults["city"]
    assert not {"plan", "price"} & set(faults)


@pytest.mark.parametrize("case", ["cut", "missing", "empty", "no rows", "no column"])
def test_what_cannot_be_compared_is_one_line_and_an_error(capsys, tmp_path, reference, case):
    whole = (tmp_path / "whole.parquet", tmp_path / "cut.parquet")
    frame(1).to_parquet(whole[0], index=False)
    whole[1].write_bytes(whole[0].read_bytes()[:5_000])
    (tmp_path / "empty.csv").write_text("")
    nothing = save(frame(1)[:0], tmp_path, "nothing")
    arguments = {
        "cut": [reference, str(whole[1])],
        "missing": [reference, str(tmp_path / "nowhere.parquet")],
        "empty": [reference, str(tmp_path / "empty.csv")],
        "no rows": [nothing, reference],
        "no column": [reference, str(whole[0]), "--by", "nobody"],
    }[case]
    before, after, *options = arguments
    assert main.main(["monitor", "--reference", before, "--current", after, *options]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("loop: Expected")
    assert said.err.count("\n") == 1


def test_the_terminal_gets_a_sentence_a_table_and_what_to_do(capsys, tmp_path, reference):
    after = save(CHANGES["shift"][0](frame(1)), tmp_path, "b")
    assert main.main(["monitor", "--reference", reference, "--current", after]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "DRIFT: 1 of 7 features drifted: temperature; 3 columns were not tested."
    assert lines[3].split()[:2] == ["feature", "type"]
    assert lines[5].split()[0] == "temperature"
    assert lines[5].endswith("DRIFT")
    assert "model" in lines[-1]


def test_the_page_shows_both_sides_of_what_moved(capsys, tmp_path, reference):
    after = save(CHANGES["shift"][0](frame(1)), tmp_path, "b")
    page = tmp_path / "page.html"
    status, _ = monitored(capsys, reference, after, "--page", str(page), "--by", "plan")
    assert status == 3
    text = page.read_text()
    assert text.lower().startswith("<!doctype html>")
    assert "temperature" in text
    assert "<svg" in text
    assert "<script" not in text
    assert "plan=" in text
    assert f"{Path(after).name} against {Path(reference).name}" in text


def test_the_numbers_are_gauges_that_prometheus_reads(capsys, tmp_path, reference):
    from prometheus_client.parser import text_string_to_metric_families

    after = save(CHANGES["shift"][0](frame(1)), tmp_path, "b")
    path = tmp_path / "drift.prom"
    _, content = monitored(capsys, reference, after, "--prometheus", str(path))
    families = {found.name: found for found in text_string_to_metric_families(path.read_text())}
    psi = {
        sample.labels["feature"]: sample.value for sample in families["tfx_loop_drift_psi"].samples
    }
    assert psi == {f["feature"]: f["psi"] for f in content["features"] if f["psi"] is not None}
    states = {
        sample.labels["verdict"]: sample.value
        for sample in families["tfx_loop_drift_verdict"].samples
    }
    assert [state for state, value in states.items() if value] == [content["verdict"]]


def test_the_sample_and_batches_do_not_change_the_counts(tmp_path):
    """More rows than a sample holds, in two files of other order."""
    from tfx_loop.monitoring.drift.settings import DriftSettings
    from tfx_loop.monitoring.file_comparison.files import compare_paths

    whole = pd.DataFrame({"x": np.random.default_rng(0).normal(size=120_000)})
    before = save(whole, tmp_path, "a")
    after = save(whole.sample(frac=1, random_state=1), tmp_path, "b")
    report = compare_paths(before, after, DriftSettings()).report
    assert report.features[0].psi == 0.0
    assert report.features[0].p_value == 1.0
    assert report.rows.reference == report.rows.current == 120_000


def test_an_unknown_column_to_ignore_is_told_beside_those_that_there_are(capsys, reference):
    arguments = ["monitor", "--reference", reference, "--current", reference]
    assert main.main([*arguments, "--ignore", "nobody"]) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("loop: Expected columns to ignore out of [")
    assert "'plan'" in line
    assert "received ['nobody']" in line


def entry_of(report, feature):
    return next(entry for entry in report["features"] if entry["feature"] == feature)


def test_row_numbers_that_pandas_writes_into_a_csv_are_named_and_not_tested(capsys, tmp_path):
    content = frame(1)[["temperature", "plan"]]
    content.to_csv(tmp_path / "a.csv")
    content.sample(frac=1, random_state=0).to_csv(tmp_path / "b.csv")
    content.to_csv(tmp_path / "plain.csv", index=False)
    files = [str(tmp_path / name) for name in ("a.csv", "b.csv", "plain.csv")]
    for reference, current in [(0, 1), (0, 2), (2, 0)]:
        _, report = monitored(capsys, files[reference], files[current])
        assert report["verdict"] == "STABLE"
        numbers = entry_of(report, "Unnamed: 0")
        assert (numbers["type"], numbers["p_value"]) == ("identifier", None)
        assert numbers["note"] == "row numbers that pandas wrote"


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


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_columns_that_only_move_forward_are_named_and_not_tested(capsys, tmp_path, kind):
    def table(seed, year):
        days = pd.date_range(f"{year}-01-01", periods=ROWS, freq="2h")
        unknown = days.strftime("%Y-%m-%d").to_numpy(dtype=object)
        unknown[-2:] = "unknown", ""
        return pd.DataFrame(
            {
                "x": np.random.default_rng(seed).normal(size=ROWS),
                "year": year,
                "created": days.astype("int64") // 10**9,
                "period": days.strftime("%Y-%m"),
                "day": days.strftime("%Y%m%d").astype(int),
                "week": days.strftime("%d %b %Y"),
                "at": unknown,
            }
        )

    files = [save(table(seed, 2022 + seed), tmp_path, str(seed), kind) for seed in (0, 1)]
    status, report = monitored(capsys, *files)
    assert (status, report["verdict"]) == (0, "STABLE")
    types = {entry["feature"]: entry["type"] for entry in report["features"]}
    assert types.pop("x") == "numeric"
    assert types == dict.fromkeys(["year", "created", "period", "day", "week", "at"], "time")


def sized(seed, change=1.0, rows=ROWS, **more):
    random = np.random.default_rng(seed)
    amounts = random.normal(1.4e9, 5e7, rows) * change
    return pd.DataFrame({"market_cap": np.rint(amounts).astype("int64"), **more})


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("form", ["int64", "float64"])
def test_amounts_of_the_size_of_an_epoch_are_tested(capsys, tmp_path, kind, form):
    path = save(sized(0).astype(form), tmp_path, "a", kind)
    same, moved = (sized(1, change).astype(form) for change in (1.0, 1.25))
    assert monitored(capsys, path, save(same, tmp_path, "b", kind))[1]["verdict"] == "STABLE"
    status, report = monitored(capsys, path, save(moved, tmp_path, "c", kind))
    assert (status, report["features"][0]["feature"]) == (3, "market_cap")
    assert report["verdict"] in ("DRIFT", "DATA_FAULT")


def test_a_column_said_to_be_numeric_is_tested_whatever_it_reads_as(capsys, tmp_path, reference):
    def table(seed, change=1.0):
        return sized(seed, change).sort_values("market_cap")  # as a query returns the largest last

    path = save(table(0), tmp_path, "a")
    current = save(table(1, 1.25), tmp_path, "b")
    status, report = monitored(capsys, path, current)
    assert (status, report["features"][0]["type"]) == (0, "time")
    status, report = monitored(capsys, path, current, "--numeric", "market_cap")
    assert (status, report["features"][0]["type"]) == (3, "integer")
    same = save(table(2), tmp_path, "c")
    assert monitored(capsys, path, same, "--numeric", "market_cap")[1]["verdict"] == "STABLE"
    for column in ("plan", "at", "nobody"):
        given = ["--reference", reference, "--current", reference, "--numeric", column]
        assert main.main(["monitor", *given]) == 1
        said = capsys.readouterr().err
        assert said.startswith("loop: Expected")
        assert column in said


def test_the_verdict_says_how_many_columns_were_not_tested(capsys, tmp_path, reference):
    same = save(frame(1, first=ROWS), tmp_path, "b")
    _, report = monitored(capsys, reference, same)
    assert report["explanation"] == "None of 7 features drifted; 3 columns were not tested."
    left_out = ("--ignore", "row", "--ignore", "at")
    _, report = monitored(capsys, reference, same, *left_out)
    assert report["explanation"] == "None of 7 features drifted; 1 column was not tested."
    _, report = monitored(capsys, reference, same, *left_out, "--ignore", "request_id")
    assert report["explanation"] == "None of 7 features drifted."


def test_where_nothing_is_left_to_compare_the_answer_names_what_was_left_out(capsys, tmp_path):
    path = save(frame(0)[["row", "at", "price", "age"]], tmp_path, "a")
    files = ["monitor", "--reference", path, "--current", path]
    assert main.main([*files, "--ignore", "price", "--ignore", "age"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "NOT_ENOUGH_DATA: There is nothing left to compare; left out: price, age (--ignore); "
        "at (time: dates and times differ between any two files); "
        "row (identifier: another whole number in each row: a key, no feature)."
    )
    assert "--numeric COLUMN" in lines[-1]
    assert "more rows" not in lines[-1]
    everything = [text for name in ("row", "at", "price", "age") for text in ("--ignore", name)]
    assert main.main([*files, *everything]) == 0
    out = capsys.readouterr().out
    assert "left out: row, at, price, age (--ignore)." in out
    assert "more rows" not in out


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


def test_a_new_column_is_named_and_no_fault(capsys, tmp_path, reference):
    current = frame(1, first=ROWS).assign(ingested=pd.Timestamp("2024-01-01"))
    status, report = monitored(capsys, reference, save(current, tmp_path, "b"))
    assert (status, report["verdict"]) == (0, "STABLE")
    told = {entry["feature"]: entry["note"] for entry in report["features"]}
    assert told["ingested"] == "new: the reference has no such column"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_column_without_values_is_stable_beside_itself_and_told_once_filled(
    capsys, tmp_path, kind
):
    empty = frame(0)[["price"]].assign(comment=np.nan)
    path = save(empty, tmp_path, "a", kind)
    status, report = monitored(capsys, path, path)
    assert (status, report["verdict"]) == (0, "STABLE")
    filled = frame(1)[["price"]].assign(comment=1.0)
    filled.loc[:9, "comment"] = np.nan
    status, report = monitored(capsys, path, save(filled, tmp_path, "b", kind))
    assert (status, report["verdict"]) == (0, "STABLE")
    (entry,) = [entry for entry in report["features"] if entry["feature"] == "comment"]
    expected = f"no value in the reference, {ROWS - 10:,} in the current file"
    assert (entry["type"], entry["note"]) == ("empty", expected)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_whole_numbers_may_have_a_few_fractions(capsys, tmp_path, kind):
    path = save(frame(0)[["age", "price"]], tmp_path, "a", kind)
    current = frame(1)[["age", "price"]]
    some = current.assign(age=current.age + np.where(current.index % 33 == 0, 0.3, 0))
    status, report = monitored(capsys, path, save(some, tmp_path, "b", kind))
    assert (status, report["verdict"]) == (0, "STABLE")
    note = next(entry["note"] for entry in report["features"] if entry["feature"] == "age")
    assert "46 are no whole numbers" in note
    all_of_them = save(current.assign(age=current.age + 0.3), tmp_path, "c", kind)
    status, report = monitored(capsys, path, all_of_them)
    assert (status, report["features"][0]["fault"]) == (3, "type_changed")


def test_a_label_may_come_later(capsys, tmp_path):
    def table(seed):
        return frame(seed)[["price", "member"]]

    path = save(table(0), tmp_path, "a")
    absent = save(table(1)[["price"]], tmp_path, "b")
    status, report = monitored(capsys, path, absent, "--label", "member")
    assert (status, report["verdict"]) == (0, "STABLE")
    (entry,) = [entry for entry in report["features"] if entry["feature"] == "member"]
    assert (entry["type"], entry["note"]) == ("label", f"0 of {ROWS:,} rows have one yet")
    partly = table(1).astype({"member": object})
    partly.loc[400:, "member"] = None
    assert monitored(capsys, path, save(partly, tmp_path, "c"), "--label", "member")[0] == 0
    assert monitored(capsys, path, absent)[0] == 3
    turned = save(table(1).assign(member=lambda d: ~d.member), tmp_path, "d")
    assert monitored(capsys, path, turned, "--label", "member")[1]["verdict"] == "DRIFT"
    assert main.main(["monitor", "--reference", path, "--current", path, "--label", "no"]) == 1
    assert "as label" in capsys.readouterr().err


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


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("years", [1, 8, 25])
def test_an_older_public_is_drift_though_ages_are_few_whole_numbers(capsys, tmp_path, kind, years):
    def ages(seed, shift):
        drawn = np.random.default_rng(seed).integers(18, 50, 3_000) + shift
        return pd.DataFrame({"age": drawn.astype(kind)})

    files = save(ages(0, 0), tmp_path, "a"), save(ages(1, years), tmp_path, "b")
    status, report = monitored(capsys, *files)
    assert (status, report["verdict"]) == (3, "DRIFT")


def test_a_sixth_store_is_drift_and_a_code_for_no_store_is_a_fault(capsys, tmp_path):
    stores = np.random.default_rng(0).integers(1, 6, 3_000)
    path = save(pd.DataFrame({"store": stores}), tmp_path, "a")
    for odd, verdict in ((6, "DRIFT"), (99, "DATA_FAULT"), (-1, "DATA_FAULT")):
        current = pd.DataFrame({"store": np.where(np.arange(3_000) % 4 == 0, odd, stores)})
        assert monitored(capsys, path, save(current, tmp_path, "b"))[1]["verdict"] == verdict


def test_the_order_of_rows_does_not_matter_where_no_time_orders_them(capsys, tmp_path):
    def table(seed, shares):
        random = np.random.default_rng(seed)
        stores = random.choice(list("ABCDE"), 3_000, p=shares)
        return pd.DataFrame({"store": stores, "x": random.normal(size=3_000)})

    path = save(table(0, [0.2] * 5), tmp_path, "a")
    current = table(1, [0.3, 0.2, 0.2, 0.15, 0.15])
    for name, rows in (("as they came", current), ("sorted", current.sort_values("store"))):
        status, report = monitored(capsys, path, save(rows, tmp_path, name))
        assert (status, report["verdict"]) == (3, "DRIFT")
        assert report["features"][0]["feature"] == "store"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("form", ["time", "text", "epoch"])
def test_a_stuck_sensor_shows_in_the_order_of_time_however_rows_lie(capsys, tmp_path, kind, form):
    def table(seed):
        at = pd.date_range("2024-01-01", periods=ROWS, freq="min")
        forms = {"time": at, "text": at.strftime("%Y-%m-%d %H:%M"), "epoch": at.astype("int64")}
        values = np.random.default_rng(seed).normal(size=ROWS)
        return pd.DataFrame({"at": forms[form], "x": values})

    path = save(table(0), tmp_path, "a", kind)
    stuck = table(1)
    stuck.loc[300:599, "x"] = 0.25
    shuffled = stuck.sample(frac=1, random_state=0)
    for name, rows in (("as they came", stuck), ("shuffled", shuffled)):
        _, report = monitored(capsys, path, save(rows, tmp_path, name, kind))
        assert report["features"][0]["fault"] == "stuck_value"
    no_time = save(stuck[["x"]], tmp_path, "without", kind)
    _, report = monitored(capsys, path, no_time, "--ignore", "at")
    assert report["verdict"] == "DRIFT"


INFERRED = """
feature { name: "flag" type: BYTES domain: "flag" presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "lower" type: BYTES bool_domain { true_value: "true" false_value: "false" } }
feature { name: "truth" type: INT int_domain { min: 0 max: 1 } }
feature { name: "digit" type: INT bool_domain { } }
feature { name: "plan" type: BYTES domain: "plan" presence { min_fraction: 1.0 min_count: 1 } }
string_domain { name: "flag" value: "False" value: "True" }
string_domain { name: "plan" value: "NA" value: "EU" }
"""


def test_what_tfdv_infers_of_a_csv_that_csv_keeps_to(capsys, tmp_path):
    """As tfdv.infer_schema writes it for what pandas and others call true and false."""
    random = np.random.default_rng(0)
    truths = random.random(ROWS) < 0.3
    table = pd.DataFrame(
        {
            "flag": truths,
            "lower": np.where(truths, "true", "false"),
            "truth": truths[::-1],
            "digit": truths.astype(int),
            "plan": random.choice(["NA", "EU"], ROWS),
        }
    )
    path = save(table, tmp_path, "a", "csv")
    (tmp_path / "schema.pbtxt").write_text(INFERRED)
    schema = str(tmp_path / "schema.pbtxt")
    assert monitored(capsys, path, path, "--schema", schema)[1]["verdict"] == "STABLE"
    (tmp_path / "schema.pbtxt").write_text(
        INFERRED.replace('value: "True"', "").replace("max: 1", "max: 0")
    )
    status, report = monitored(capsys, path, path, "--schema", schema)
    broken = {entry["feature"] for entry in report["features"] if entry["fault"]}
    assert (status, broken) == (3, {"flag", "truth"})
