"""How `loop monitor` answers: terminal, page, JSON, gauges, schemas and errors."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, frame, monitored, save

from tfx_loop.pipelines.cli import main


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return save(frame(0), tmp_path_factory.mktemp("reference"), "reference")


@pytest.mark.slow
def test_terminal_page_and_json_tell_the_same_numbers(capsys, tmp_path):
    """What is compared with the floor is told everywhere, and how many features were tested."""
    random = np.random.default_rng(4)

    def table(rows, shift):
        columns = {f"x{place}": random.normal(0, 1, rows) for place in range(6)}
        columns["x0"] += shift
        return pd.DataFrame({**columns, "at": pd.date_range("2024-01-01", periods=rows)})

    paths = [
        save(table(rows, shift), tmp_path, f"{rows}") for rows, shift in ((4_000, 0), (3_999, 0.09))
    ]
    page = tmp_path / "page.html"
    _, report = monitored(capsys, *paths, "--multivariate", "--page", str(page))
    main.main(["monitor", "--reference", paths[0], "--current", paths[1], "--multivariate"])
    printed = capsys.readouterr().out
    x0 = next(entry for entry in report["features"] if entry["feature"] == "x0")
    # Too little to matter, and not surely so.
    assert x0["drifted"]
    assert x0["psi_corrected"] < 0.02 < x0["psi_bound"]
    line = next(line for line in printed.splitlines() if line.strip().startswith("x0"))
    shown = f"{x0['psi_corrected']:.3f}", f"{x0['psi_bound']:.3f}"
    assert [cell for cell in line.split() if cell in shown] == list(shown)
    assert f"{shown[0]}, at most {shown[1]}" in page.read_text()
    assert "1 of 6 features drifted: x0" in report["explanation"]
    for told in (printed, page.read_text()):
        assert "1 of 6 features drifted" in told


def test_values_of_redacted_columns_and_of_few_rows_are_not_told(capsys, tmp_path):
    sides = []
    for seed in (0, 1):
        random = np.random.default_rng(seed)
        city = random.choice(["Bern", "Basel"], 500).astype(object)
        city[:2] = f"Wall Street {seed}"
        shop = random.choice(["north", "south"], 500, p=[0.5 - 0.4 * seed, 0.5 + 0.4 * seed])
        content = pd.DataFrame({"city": city, "shop": shop, "age": random.integers(20, 60, 500)})
        if seed:
            content["age"] = content["age"].astype(str).where(content.index > 1, "about 40")
        sides.append(save(content, tmp_path, f"side{seed}", "csv"))
    page, key = tmp_path / "page.html", f"--redact-key={tmp_path}/key"
    words = ["--by", "shop", "--page", str(page), "--redact", "shop", key]
    _, report = monitored(capsys, *sides, *words)
    told = json.dumps(report) + page.read_text()
    for value in ("Wall Street", "north", "south", "about 40"):
        assert value not in told
    assert "Bern" in told
    assert {entry["slice"][:6] for entry in report["slices"]} == {"shop=#"}
    _, shown = monitored(capsys, *sides, "--min-count", "1")
    assert "about 40" in json.dumps(shown)
    assert (
        main.main(
            [
                "monitor",
                "--reference",
                str(sides[0]),
                "--current",
                str(sides[1]),
                "--redact",
                "shpo",
                key,
            ]
        )
        == 1
    )
    assert "under a wrong one nothing is hidden" in capsys.readouterr().err


def test_one_row_is_told_in_the_singular(capsys, tmp_path, reference):
    current = save(frame(2, rows=1), tmp_path, "b")
    assert main.main(["monitor", "--reference", str(reference), "--current", str(current)]) == 4
    told = capsys.readouterr().out
    assert "1 row against" in told
    assert "1 rows" not in told


@pytest.mark.slow
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


def warmer(content):
    return content.assign(temperature=content.temperature + 4)


def test_the_terminal_gets_a_sentence_a_table_and_what_to_do(capsys, tmp_path, reference):
    after = save(warmer(frame(1)), tmp_path, "b")
    assert main.main(["monitor", "--reference", reference, "--current", after]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "DRIFT: 1 of 7 features drifted: temperature; 3 columns were not tested."
    assert lines[3].split()[:2] == ["feature", "type"]
    assert lines[5].split()[0] == "temperature"
    assert lines[5].endswith("DRIFT")
    assert "model" in lines[-1]


@pytest.mark.slow
def test_the_page_shows_both_sides_of_what_moved(capsys, tmp_path, reference):
    after = save(warmer(frame(1)), tmp_path, "b")
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

    after = save(warmer(frame(1)), tmp_path, "b")
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


def test_an_unknown_column_to_ignore_is_told_beside_those_that_there_are(capsys, reference):
    arguments = ["monitor", "--reference", reference, "--current", reference]
    assert main.main([*arguments, "--ignore", "nobody"]) == 1
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("loop: Expected columns to ignore out of [")
    assert "'plan'" in line
    assert "received ['nobody']" in line


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
