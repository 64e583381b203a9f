"""`loop monitor --group` and `--time`: rows that depend on each other, in files."""

import numpy as np
import pandas as pd
import pytest
from monitored_files import entry_of, monitored, save
from scipy import signal

from tfx_loop.pipelines.cli import main


def customers(seed, count, shift=0.0):
    """Ten rows of each customer, in any order; half of what a row says is its customer's."""
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(shift, 1, count), 10)
    table = pd.DataFrame(
        {
            "customer_id": np.repeat([f"k{number}" for number in range(count)], 10),
            "spent": own + random.normal(size=10 * count),
            "city": np.repeat(random.choice(list("abcdefgh"), count), 10),
            "many": np.repeat([f"c{number % 400}" for number in random.permutation(count)], 10),
        }
    )
    return table.sample(frac=1, random_state=seed)


def minutes(seed, rows, phi=0.95, shift=0.0):
    noise = np.random.default_rng(seed).normal(size=rows)
    values = signal.lfilter([1], [1, -phi], noise) * np.sqrt(1 - phi**2) + shift
    return pd.DataFrame(
        {"at": pd.date_range("2024-01-01", periods=rows, freq="min"), "load": values}
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_groups_that_are_named_raise_no_alarm_and_a_shift_does(capsys, tmp_path, kind):
    old, new, moved = (
        save(customers(seed, count, shift), tmp_path, f"{seed}", kind)
        for seed, count, shift in ((0, 600, 0.0), (1, 200, 0.0), (2, 200, 0.6))
    )
    assert monitored(capsys, old, new)[1]["verdict"] != "STABLE"
    status, report = monitored(capsys, old, new, "--group", "customer_id")
    assert (status, report["verdict"]) == (0, "STABLE")
    assert entry_of(report, "city")["design_effect"] == pytest.approx(10, rel=0.4)
    assert entry_of(report, "customer_id")["type"] == "group"
    assert not [entry for entry in report["features"] if entry["feature"].startswith("_")]
    found = monitored(capsys, old, moved, "--group", "customer_id")[1]
    assert [entry["feature"] for entry in found["features"] if entry["drifted"]] == ["spent"]


def test_an_order_that_is_named_raises_no_alarm_and_a_shift_does(capsys, tmp_path):
    old, new, moved = (
        save(minutes(seed, rows, shift=shift).sample(frac=1, random_state=0), tmp_path, f"{seed}")
        for seed, rows, shift in ((0, 8_000, 0.0), (3, 3_000, 0.0), (4, 3_000, 1.2))
    )
    assert monitored(capsys, old, new)[1]["verdict"] == "DRIFT"
    assert monitored(capsys, old, new, "--time", "at")[1]["verdict"] == "STABLE"
    assert monitored(capsys, old, moved, "--time", "at")[1]["verdict"] == "DRIFT"


def test_a_group_that_the_current_file_lacks_is_refused(capsys, tmp_path):
    old = save(customers(0, 50), tmp_path, "old")
    new = save(customers(1, 50).drop(columns="customer_id"), tmp_path, "new")
    status = main.main(["monitor", "--reference", old, "--current", new, "--group", "customer_id"])
    assert status == 1
    assert "--group" in capsys.readouterr().err


@pytest.mark.parametrize("keys", [True, False])
def test_texts_that_come_with_the_rows_are_keys_and_a_new_catalogue_is_a_fault(
    capsys, tmp_path, keys
):
    """Orders have several rows each and never come back; products do."""

    def sold(seed, first):
        random = np.random.default_rng(seed)
        codes = np.arange(3_000) // 3 if keys else random.integers(0, 1_000, 3_000)
        at = pd.date_range("2024-01-01", periods=3_000, freq="min") + pd.Timedelta(days=first)
        names = [f"n{first + code}" for code in codes]
        return pd.DataFrame({"at": at, "order": names, "price": random.normal(size=3_000)})

    old, new = (save(sold(n, 2_000 * n).sample(frac=1), tmp_path, f"{n}") for n in range(2))
    _, report = monitored(capsys, old, new)
    entry = entry_of(report, "order")
    if keys:
        assert (report["verdict"], entry["type"]) == ("STABLE", "identifier")
    else:
        assert entry["fault"] == "new_category_flood"


def test_what_nobody_named_is_measured_and_told(capsys, tmp_path):
    old, new = (save(customers(seed, 300), tmp_path, f"{seed}") for seed in (0, 1))
    page = tmp_path / "page.html"
    _, report = monitored(capsys, old, new, "--page", str(page))
    (warning,) = report["warnings"]
    assert warning.startswith("rows repeat `customer_id` 10 times on average")
    assert warning.endswith("name it with --group")
    assert "Rows repeat `customer_id` 10 times" in page.read_text()
    main.main(["monitor", "--reference", old, "--current", new])
    assert "Note: rows repeat `customer_id`" in " ".join(capsys.readouterr().out.split())
    assert monitored(capsys, old, new, "--group", "customer_id")[1]["warnings"] == []


def test_an_order_that_nobody_named_is_measured_and_told(capsys, tmp_path):
    old, new = (save(minutes(seed, 5_000), tmp_path, f"{seed}") for seed in (0, 1))
    (warning,) = monitored(capsys, old, new)[1]["warnings"]
    assert warning.startswith("rows are like those before them by `at`")
    assert monitored(capsys, old, new, "--time", "at")[1]["warnings"] == []


@pytest.mark.parametrize("seed", range(5))
def test_independent_rows_are_not_warned_of(capsys, tmp_path, seed):
    """Ids that repeat say nothing where their rows have nothing in common."""
    random = np.random.default_rng(seed)
    tables = [
        pd.DataFrame(
            {
                "customer_id": random.integers(0, 300, 3_000),
                "at": pd.date_range("2024-01-01", periods=3_000, freq="min"),
                "x": random.normal(size=3_000),
                "y": random.choice(list("abc"), 3_000),
                "z": random.lognormal(size=3_000),
            }
        )
        for _ in range(2)
    ]
    paths = [save(table, tmp_path, f"{place}") for place, table in enumerate(tables)]
    assert monitored(capsys, *paths)[1]["warnings"] == []
