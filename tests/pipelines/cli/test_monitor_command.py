"""`loop monitor` answers for any two files: what moved, what broke, and what did neither."""

import numpy as np
import pandas as pd
import pytest
from monitored_files import ROWS, frame, monitored, save


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return save(frame(0), tmp_path_factory.mktemp("reference"), "reference")


@pytest.mark.parametrize("name", ["y_pred", "prediction", "y_pred_proba", "plan"])
def test_answers_of_one_side_are_drift_and_no_fault_where_inputs_moved(capsys, tmp_path, name):
    def world(seed, shift, answer):
        x = np.random.default_rng(seed).normal(shift, 1, 2_000)
        return save(pd.DataFrame({"x": x, name: answer(x)}), tmp_path, f"{seed}")

    old = world(0, 0.0, lambda x: (x > 2).astype(int))
    _, report = monitored(capsys, old, world(1, -4.0, lambda x: (x > 2).astype(int)))
    assert report["verdict"] == ("DATA_FAULT" if name == "plan" else "DRIFT")
    _, report = monitored(capsys, old, world(2, 0.0, lambda x: np.zeros(2_000, int)))
    assert report["verdict"] == "DATA_FAULT"


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


@pytest.mark.parametrize("kind", ["parquet", pytest.param("csv", marks=pytest.mark.slow)])
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
    assert (status, report["verdict"]) == (4, "NOT_ENOUGH_DATA")
    assert report["rows"]["current"] == rows


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


@pytest.mark.slow
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


def test_the_sample_and_batches_do_not_change_the_counts(tmp_path):
    """More rows than a sample holds, in two files of other order."""
    from tfx_loop.monitoring.drift.settings import DriftSettings
    from tfx_loop.monitoring.file_comparison.compare_files import compare_paths

    whole = pd.DataFrame({"x": np.random.default_rng(0).normal(size=120_000)})
    before = save(whole, tmp_path, "a")
    after = save(whole.sample(frac=1, random_state=1), tmp_path, "b")
    report = compare_paths(before, after, DriftSettings()).report
    assert report.features[0].psi == 0.0
    assert report.features[0].p_value == 1.0
    assert report.rows.reference == report.rows.current == 120_000
