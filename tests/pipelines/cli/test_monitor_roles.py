"""What columns are can be said, in flags or in a file that `loop monitor` writes."""

import json

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, entry_of, frame, monitored, save

from tfx_loop.pipelines.cli import main


def shops(seed, shift=0, rows=ROWS):
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer": random.integers(0, 10**9, rows),
            "zip": random.choice([10115, 20095, 50667, 80331, 99084], rows) + shift,
            "sold": random.permutation(rows) + rows * seed,
            "remark": random.choice(["late again", "all is well", "came twice"], rows),
            "price": random.lognormal(3, 1, rows),
        }
    )


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_roles_and_types_are_what_flags_say(capsys, tmp_path, kind):
    files = [save(shops(seed), tmp_path, str(seed), kind) for seed in (0, 1)]
    _, report = monitored(capsys, *files)
    read = {entry["feature"]: entry["type"] for entry in report["features"]}
    assert (read["customer"], read["zip"], read["remark"]) == ("integer", "integer", "categorical")
    flags = ("--id", "customer", "--categorical", "zip", "--time", "sold", "--text", "remark")
    status, report = monitored(capsys, *files, *flags)
    said = {entry["feature"]: entry["type"] for entry in report["features"]}
    assert (status, report["verdict"]) == (0, "STABLE")
    assert said == {
        "customer": "identifier", "zip": "categorical", "sold": "time", "price": "numeric",
        "remark#length": "text", "remark#token": "text",
    }  # fmt: skip
    untested = {entry["feature"] for entry in report["features"] if entry["p_value"] is None}
    assert untested == {"customer", "sold"}


def test_codes_that_are_named_categories_are_flooded_by_new_ones(capsys, tmp_path):
    """As numbers they are no new categories: a sixth age among five is no fault."""
    files = [save(shops(seed, shift), tmp_path, str(seed)) for seed, shift in ((0, 0), (1, 1))]
    status, report = monitored(capsys, *files, "--categorical", "zip", "--ignore", "sold")
    assert (status, entry_of(report, "zip")["fault"]) == (3, "new_category_flood")


def test_digits_in_a_column_of_text_are_numbers_where_somebody_says_so(capsys, tmp_path):
    def coded(seed, scale):
        levels = np.random.default_rng(seed).integers(100, 10_000, ROWS) * scale
        return pd.DataFrame({"level": levels.astype(str)})

    files = save(coded(0, 1), tmp_path, "a"), save(coded(1, 1), tmp_path, "b")
    assert monitored(capsys, *files)[1]["features"][0]["type"] != "integer"
    status, report = monitored(capsys, *files, "--numeric", "level")
    assert (status, entry_of(report, "level")["type"]) == (0, "integer")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--id", "custmer"), "as ids, received 'custmer'. Did you mean 'customer'?"),
        (("--time", "Sold at"), "as time, received 'Sold at'. Did you mean 'sold'?"),
        (("--text", "nothing_like_it"), "as text, received 'nothing_like_it'. It has ["),
        (("--id", "zip", "--numeric", "zip"), "one role for column 'zip', received ids and"),
        (("--numeric", "remark"), "numbers in the column 'remark' of --numeric, received string"),
    ],
)
def test_roles_that_no_column_can_have_are_told(capsys, tmp_path, flags, told):
    path = save(shops(0), tmp_path, "a")
    assert main.main(["monitor", "--reference", path, "--current", path, *flags]) == 1
    assert told in capsys.readouterr().err


def test_the_file_of_roles_shows_no_redacted_value(capsys, tmp_path):
    reference = save(frame(0), tmp_path, "a")
    flags = ("--redact", "plan", "--redact", "age", "--redact-key", str(tmp_path / "key"))
    lines = configured(capsys, reference, tmp_path / "monitor.toml", *flags)
    by_column = {line.split(" = ")[0]: line for line in lines if " = {" in line and line[0] != "#"}
    assert by_column["plan"].endswith("# categorical, 3 values, 0.0% missing")
    assert by_column["age"].endswith("# integer, 0.0% missing")


def configured(capsys, reference, path, *flags):
    """Writes what the columns of a reference are taken for; returns the lines."""
    status = main.main(["monitor", "--reference", reference, "--write-config", str(path), *flags])
    assert status == 0
    assert capsys.readouterr().out.startswith(f"{path}: what ")
    return path.read_text().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_the_file_that_is_written_says_what_was_guessed_and_makes_the_same_report(
    capsys, tmp_path, kind
):
    reference = save(frame(0), tmp_path, "a", kind)
    current = save(frame(1).assign(price=frame(1).price * 1.4), tmp_path, "b", kind)
    path = tmp_path / "monitor.toml"
    lines = configured(capsys, reference, path)
    by_column = {line.split(" = ")[0]: line for line in lines if " = {" in line and line[0] != "#"}
    assert list(by_column) == [
        "temperature", "price", "age", "member", "plan", "city", "gaps", "row", "request_id", "at",
    ]  # fmt: skip
    assert by_column["row"].startswith('row = { role = "id" }  # identifier, not tested: another')
    assert by_column["at"].startswith("at = {}  # time, orders the rows: dates and times")
    assert by_column["age"].startswith('age = { role = "numeric" }  # integer, 18 to 89, 0.0% miss')
    assert by_column["plan"].startswith('plan = { role = "categorical" }  # categorical, 3 values,')
    assert 'most often "free"' in by_column["plan"]
    assert all("# " in line for line in by_column.values())
    guessed = monitored(capsys, reference, current)
    said = monitored(capsys, reference, current, "--config", str(path))
    assert said[0] == guessed[0] == 3
    numbers = [
        {e["feature"]: (e["type"], e["psi"], e["p_value"]) for e in report["features"]}
        for _, report in (guessed, said)
    ]
    assert numbers[0] == numbers[1]


def test_names_of_any_letters_stand_the_way_through_the_file(capsys, tmp_path):
    names = ["a b", 'say "so"', "Größe", "x.y", "#1", "back\\slash", "-", "tab\tbed"]
    content = pd.DataFrame({name: np.random.default_rng(0).normal(size=ROWS) for name in names})
    reference = save(content, tmp_path, "a")
    path = tmp_path / "monitor.toml"
    configured(capsys, reference, path, "--id", "x.y", "--label", "a b")
    _, report = monitored(capsys, reference, reference, "--config", str(path))
    assert {entry["feature"] for entry in report["features"]} == set(names)
    assert entry_of(report, "x.y")["type"] == "identifier"
    assert report["settings"]["roles"]["label"] == "a b"


def test_flags_go_before_the_file(capsys, tmp_path):
    reference = save(frame(0), tmp_path, "a")
    path = tmp_path / "monitor.toml"
    path.write_text(
        'q = 0.5\npsi_floor = 0.9\nby = "plan"\n'
        '[columns]\nprice = { role = "ignore" }\nage = "id"\ncity = { psi_floor = 3 }\n'
    )
    _, report = monitored(capsys, reference, reference, "--config", str(path))
    assert (report["settings"]["q"], report["settings"]["psi_floor"]) == (0.5, 0.9)
    assert entry_of(report, "age")["type"] == "identifier"
    assert "price" not in {entry["feature"] for entry in report["features"]}
    assert {entry["slice"] for entry in report["slices"]} == {"plan=free", "plan=basic", "plan=pro"}
    flags = ("--q", "0.01", "--numeric", "price", "--id", "city")
    _, report = monitored(capsys, reference, reference, "--config", str(path), *flags)
    assert report["settings"]["q"] == 0.01
    assert entry_of(report, "price")["type"] == "numeric"
    assert report["settings"]["roles"]["ids"] == ["age", "city"]


@pytest.mark.slow
def test_each_column_may_have_thresholds_of_its_own(capsys, tmp_path):
    reference = save(frame(0), tmp_path, "a")
    moved = frame(1)
    moved = moved.assign(
        temperature=moved.temperature + 2.5,
        price=moved.price * 1.4,
        age=moved.age.where(moved.index % 10 > 0).astype("Int64"),
        gaps=moved.gaps.where(moved.index % 10 > 0),
    )
    current = save(moved, tmp_path, "b")
    path = tmp_path / "monitor.toml"
    path.write_text("[columns]\ntemperature = { psi_floor = 2.0 }\nprice = { q = 1e-30 }\n")
    flags = ("--ignore", "age", "--ignore", "gaps")
    _, report = monitored(capsys, reference, current, *flags)
    assert {e["feature"] for e in report["features"] if e["drifted"]} == {"temperature", "price"}
    status, report = monitored(capsys, reference, current, "--config", str(path), *flags)
    assert (status, report["verdict"]) == (0, "STABLE")
    assert entry_of(report, "temperature")["held_by"] == "effect_floor"
    path.write_text("[columns]\nage = { missing_rise = 0.5 }\ngaps = { missing_rise = 0.05 }\n")
    _, report = monitored(capsys, reference, current, "--config", str(path))
    assert entry_of(report, "gaps")["fault"] == "missing_flood"
    assert entry_of(report, "age")["fault"] is None
    _, report = monitored(capsys, reference, current)
    assert entry_of(report, "gaps")["fault"] is None
    assert entry_of(report, "age")["fault"] == "missing_flood"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("psi_flor = 0.1", "received 'psi_flor'. Did you mean 'psi_floor'?"),
        ('q = "much"', "Expected a number in"),
        ("q = 7", "q must be between 0 and 1, got 7"),
        ("q = ", "Expected settings as TOML in"),
        ('[columns]\nprice = "prize"', "Expected a role out of label, time"),
        ("[columns]\nprice = { psi_flor = 1 }", "received 'psi_flor'. Did you mean 'psi_floor'?"),
        ("[columns]\nprize = { q = 0.1 }", "received ['prize']. Did you mean 'price'?"),
        ('[columns]\nprize = { role = "id" }', "as ids, received 'prize'. Did you mean 'price'?"),
        ('[columns]\nage = "label"\nplan = "label"', "Expected one column as label in"),
        ("columns = 3", "Expected a table of columns in"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(capsys, tmp_path, content, told):
    reference = save(frame(0), tmp_path, "a")
    path = tmp_path / "monitor.toml"
    path.write_text(content)
    files = ["monitor", "--reference", reference, "--current", reference]
    assert main.main([*files, "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("loop: ")
    assert said.count("\n") == 1
    assert told in said


def test_without_current_there_must_be_a_file_to_write(capsys, tmp_path):
    reference = save(frame(0), tmp_path, "a")
    with pytest.raises(SystemExit):
        main.main(["monitor", "--reference", reference])
    assert "expected --current, or --write-config" in capsys.readouterr().err
    path = tmp_path / "monitor.toml"
    arguments = ["monitor", "--reference", reference, "--write-config", str(path), "--json"]
    assert main.main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"config": str(path), "columns": 10}
