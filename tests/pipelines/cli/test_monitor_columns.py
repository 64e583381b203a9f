"""What columns are taken for: keys, times, labels, amounts, texts, and those that are new."""

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, entry_of, frame, monitored, save

from tfx_loop.pipelines.cli import main


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return save(frame(0), tmp_path_factory.mktemp("reference"), "reference")


@pytest.mark.parametrize("renamed", ["Price", "unit_price", "PRICE "])
def test_a_column_that_was_renamed_is_named_under_both_names(capsys, tmp_path, reference, renamed):
    current = save(frame(1).rename(columns={"price": renamed}), tmp_path, "b")
    _, report = monitored(capsys, reference, current)
    note = next(entry["note"] for entry in report["features"] if entry["feature"] == "price")
    assert note == f"no such column in the current file. Did you mean {renamed!r}?"


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
    assert (status, report["features"][0]["type"]) == (4, "time")
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


@pytest.mark.slow
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
    assert main.main([*files, "--ignore", "price", "--ignore", "age"]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "NOT_ENOUGH_DATA: There is nothing left to compare; left out: price, age (--ignore); "
        "at (time: dates and times differ between any two files); "
        "row (identifier: another whole number in each row: a key, no feature)."
    )
    assert "--numeric COLUMN" in lines[-1]
    assert "more rows" not in lines[-1]
    everything = [text for name in ("row", "at", "price", "age") for text in ("--ignore", name)]
    assert main.main([*files, *everything]) == 4
    out = capsys.readouterr().out
    assert "left out: row, at, price, age (--ignore)." in out
    assert "more rows" not in out


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
    both = np.where(np.arange(3_000) % 8 == 0, 6, 7)
    for odd, verdict in ((6, "DRIFT"), (both, "DRIFT"), (99, "DATA_FAULT"), (-1, "DATA_FAULT")):
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


def two_columns(seed, **more):
    random = np.random.default_rng(seed)
    return pd.DataFrame({"x": random.normal(size=ROWS), **more})


@pytest.mark.parametrize("form", ["int64", "float64"])
def test_shuffled_numbers_of_rows_are_keys_whatever_their_name(capsys, tmp_path, form):
    def rows(seed):
        numbers = np.random.default_rng(seed).permutation(ROWS) + seed * ROWS
        return two_columns(seed, n=numbers.astype(form))

    _, report = monitored(capsys, save(rows(0), tmp_path, "a"), save(rows(9), tmp_path, "b"))
    assert (report["verdict"], entry_of(report, "n")["type"]) == ("STABLE", "identifier")


def test_numbers_that_might_all_differ_by_chance_are_tested(capsys, tmp_path):
    def cents(seed, most):
        random = np.random.default_rng(seed)
        return two_columns(seed, cents=random.choice(most, ROWS, replace=False))

    before = save(cents(0, 3_000_000), tmp_path, "a")
    _, report = monitored(capsys, before, save(cents(1, 4_500_000), tmp_path, "b"))
    assert entry_of(report, "cents")["drifted"]


@pytest.mark.parametrize("first", [1e9, 1e15, -1e9])
def test_numbers_that_are_close_together_far_from_0_are_told_apart(capsys, tmp_path, first):
    def rows(seed, shift=0.0):
        noise = np.random.default_rng(seed + 5).normal(shift, 1, ROWS)
        return two_columns(seed, x2=first + noise)

    before = save(rows(0), tmp_path, "a")
    _, report = monitored(capsys, before, save(rows(1), tmp_path, "b"))
    assert report["verdict"] == "STABLE"
    _, report = monitored(capsys, before, save(rows(1, 0.6), tmp_path, "c"))
    assert [f["feature"] for f in report["features"] if f["drifted"]] == ["x2"]
    assert entry_of(report, "x2")["note"].startswith("counted from ")


def test_numbers_beyond_what_is_compared_are_named_and_not_called_stable(capsys, tmp_path):
    tiny = np.random.default_rng(3).normal(size=ROWS) * 1e-60
    before = save(two_columns(0, tiny=tiny), tmp_path, "a")
    _, report = monitored(capsys, before, save(two_columns(1, tiny=2 * tiny), tmp_path, "b"))
    entry = entry_of(report, "tiny")
    assert (entry["type"], entry["p_value"]) == ("unsupported", None)
    assert "give them another unit" in entry["note"]


def test_a_column_without_a_name_in_parquet_is_compared(capsys, tmp_path):
    def rows(seed, shift):
        return two_columns(seed, **{"": np.random.default_rng(seed + 5).normal(shift, 1, ROWS)})

    before = save(rows(0, 0), tmp_path, "a")
    status, report = monitored(capsys, before, save(rows(1, 0), tmp_path, "b"))
    assert (status, report["verdict"]) == (0, "STABLE")
    status, report = monitored(capsys, before, save(rows(1, 1), tmp_path, "c"))
    assert status == 3


def test_periods_are_times_and_intervals_categories(capsys, tmp_path):
    def rows(seed, year, cuts=(0, 0.3, 1)):
        place = np.random.default_rng(seed + 5).random(ROWS)
        hours = pd.period_range(f"{year}-01", periods=ROWS, freq="H")
        binned = pd.cut(place, list(cuts))
        return two_columns(
            seed, hour=hours, month=hours.asfreq("M"), bin=pd.arrays.IntervalArray(binned)
        )

    before = save(rows(0, 2020), tmp_path, "a")
    _, report = monitored(capsys, before, save(rows(1, 2022), tmp_path, "b"))
    assert report["verdict"] == "STABLE"
    types = {entry["feature"]: entry["type"] for entry in report["features"]}
    expected = {"hour": "time", "month": "time", "bin": "categorical"}
    assert types == {"x": "numeric", **expected}
    _, report = monitored(capsys, before, save(rows(1, 2022, (0, 0.5, 1)), tmp_path, "c"))
    assert {f["feature"] for f in report["features"] if f["fault"]} == {"bin"}
    assert "'(0, 0.5]'" in entry_of(report, "bin")["note"]


def test_texts_of_which_nearly_each_row_has_another_are_no_flood_for_being_weighted(
    capsys, tmp_path
):
    def rows(seed, form):
        random = np.random.default_rng(seed)
        words = [form.format(number) for number in random.integers(0, 9_999, ROWS)]
        return two_columns(seed, note=words, w=random.choice([1.0, 2.0, 3.0], ROWS))

    before = save(rows(0, "note {}"), tmp_path, "a")
    weighted = ("--weight", "w")
    _, report = monitored(capsys, before, save(rows(1, "note {}"), tmp_path, "b"), *weighted)
    assert report["verdict"] == "STABLE"
    _, report = monitored(capsys, before, save(rows(1, "NOTE-{}"), tmp_path, "c"), *weighted)
    assert entry_of(report, "note")["fault"] == "new_category_flood"


@pytest.mark.parametrize(("factor", "fault"), [(0.6, None), (1.4, None), (5.3, "out_of_range")])
def test_growth_beyond_a_narrow_range_is_drift(capsys, tmp_path, factor, fault):
    def rows(seed, times=1.0):
        random = np.random.default_rng(seed + 5)
        whole = np.round(random.integers(200, 231, ROWS) * times).astype(int)
        return two_columns(seed, price=random.normal(100, 2, ROWS) * times, whole=whole)

    before = save(rows(0), tmp_path, "a")
    _, report = monitored(capsys, before, save(rows(1, factor), tmp_path, "b"))
    for name in ("price", "whole"):
        entry = entry_of(report, name)
        assert (entry["fault"], entry["drifted"]) == (fault, fault is None)
