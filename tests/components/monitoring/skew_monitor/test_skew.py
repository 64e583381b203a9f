"""Skew is what differs on the same rows beyond rounding; everything else is no skew or an error."""

import dataclasses
import datetime as dt
import json
import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tfx_loop.contracts.skew_report import SKEW_REPORT, SkewVerdict
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.redaction import WITHHELD
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.skew_monitor.page import render
from tfx_loop.monitoring.skew_monitor.settings import SkewSettings, parse_keys
from tfx_loop.monitoring.skew_monitor.skew import find_skew, find_skew_of_reference, log_columns

ID = {"id": "id"}
DAYS = [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2)]
LATER = [day + dt.timedelta(hours=2) for day in DAYS]


def table(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


def pair(n=400):
    random = np.random.default_rng(0)
    training = pd.DataFrame(
        {"id": range(n), "x": random.normal(size=n), "city": random.choice(["a", "b"], n)}
    )
    return training, training.sample(frac=1, random_state=1)


def found_in(training, served, keys=ID, **settings):
    return find_skew(table(training), table(served), keys, SkewSettings(**settings))


def one(values, served, **settings):
    """Compares one feature whose columns may be of any type."""
    ids = pa.array(range(len(values)))
    sides = [pa.table({"id": ids, "f": side}) for side in (values, served)]
    report = find_skew(*sides, ID, SkewSettings(min_rows=1, **settings))
    return report, report.features[0] if report.features else None


def test_the_same_rows_are_consistent_in_any_order_and_once_each():
    training, served = pair()
    served = pd.concat([served, served[:50]])
    served["x"] = served["x"].astype(np.float32)
    found = found_in(training, served)
    assert (found.verdict, found.reason, found.rows) == (SkewVerdict.CONSISTENT, "no_skew", 400)
    assert (found.repeated_rows, found.served_rows) == (50, 450)


def test_a_feature_that_serving_computes_otherwise_is_named():
    training, served = pair()
    served["x"] = served["x"] * np.where(served["city"] == "a", 1.0, 0.001)
    found = found_in(training, served, examples=True)
    assert (found.verdict, found.reason) == (SkewVerdict.SKEWED, "values_differ")
    worst = found.features[0]
    assert (worst.feature, worst.reason) == ("x", "values_differ")
    assert worst.differing == pytest.approx(np.mean(training["city"] == "b"))
    row = training[training["id"] == int(worst.example_row.removeprefix("id="))].iloc[0]
    assert worst.example.startswith(f"{row.x:.7g} in training")
    assert "x (values_differ" in found.explanation
    assert found.skewed == ("x",)


def test_no_value_of_a_row_leaves_without_being_asked_for(tmp_path):
    training, served = pair()
    served = served.assign(city="Wall Street 7")
    told = json.dumps(SKEW_REPORT.content(found_in(training, served)))
    page = render(found_in(training, served))
    for text in (told, page):
        assert "Wall Street" not in text
        assert "id=0" not in text
    assert "for example" not in page
    key = {"redact_key": str(tmp_path / "key")}
    asked = found_in(training, served, examples=True, redact=("city", "id"), **key).features[0]
    assert asked.feature == "city"
    assert asked.example == WITHHELD
    assert re.fullmatch("id=#[0-9a-f]{10}", asked.example_row)


def test_missing_on_one_side_and_absent_features_are_skew():
    training, served = pair()
    served.loc[served.index[:40], "city"] = None
    found = found_in(training, served.assign(extra=1))
    assert found.features[0].missing_in_serving == pytest.approx(0.1)
    assert (found.absent_in_training, found.absent_in_serving) == (("extra",), ())
    absent = found_in(training, served.drop(columns="city"))
    assert (absent.reason, absent.absent_in_serving) == ("feature_absent", ("city",))
    assert found_in(training, served, ignore_features=("city",)).verdict is SkewVerdict.CONSISTENT


def test_skew_needs_common_rows_and_keys_that_name_one():
    training, served = pair()
    few = found_in(training, served.assign(id=served["id"] + 390))
    assert (few.verdict.value, few.reason, few.rows) == (
        "NOT_ENOUGH_DATA",
        "too_few_common_rows",
        10,
    )
    none = found_in(training, served.assign(id=served["id"] + 400))
    assert (none.verdict.value, none.reason) == ("NOT_ENOUGH_DATA", "no_common_rows")
    assert "such as" not in none.explanation
    quoted = found_in(training, served.assign(id=served["id"] + 400), examples=True)
    assert "such as id=0" in quoted.explanation
    assert "Check the keys" in none.explanation
    with pytest.raises(DataError, match="not unique"):
        found_in(training.assign(id=1), served)
    with pytest.raises(DataError, match=r"key columns \['request_id'\] in the training rows"):
        found_in(training, served, {"request_id": "id"})
    with pytest.raises(DataError, match=r"key columns \['no'\] in the served rows.*keep_key"):
        found_in(training, served, {"id": "no"})


def test_nothing_to_compare_is_no_agreement():
    keys_alone = pair()[0][["id"]]
    found = found_in(keys_alone, keys_alone)
    assert (found.verdict.value, found.reason) == ("NOT_ENOUGH_DATA", "no_common_features")


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-44, 1e30, -7.7, 16_777_217.0])
def test_what_float32_does_to_a_value_is_no_skew(value):
    stored = pa.array([np.float32(value)]).cast(pa.float64())
    assert one(stored, pa.array([value]))[0].verdict is SkewVerdict.CONSISTENT


@pytest.mark.parametrize(
    ("training", "served"),
    [
        (pa.array([5, 6]), pa.array([5.0, 6.0])),
        (pa.array([0.333333, 2.0]), pa.array([1 / 3, 2.0])),
        (pa.array([True, False]), pa.array([1, 0])),
        (pa.array([math.inf, math.nan]), pa.array([math.inf, None], pa.float64())),
        (pa.array([b"a", b"\xff"]), pa.array(["a", "\\xff"])),
        (pa.array([["a"], []]), pa.array(["a", None])),
        (pa.nulls(2), pa.nulls(2, pa.string())),
        (pa.array([Decimal("0.10"), Decimal("7.25")]), pa.array([0.1, 7.25])),
        (pa.array([Decimal("3.00"), None]), pa.array([3, None])),
        (pa.array(DAYS, pa.timestamp("ns")), pa.array(DAYS, pa.timestamp("ms"))),
        (pa.array(DAYS, pa.timestamp("us")), pa.array(DAYS, pa.date32())),
        (pa.array(DAYS, pa.timestamp("s")), pa.array(["2020-01-01", "2020-01-02 00:00:00"])),
        (pa.array(DAYS, pa.timestamp("s", "Europe/Paris")), pa.array(DAYS, pa.timestamp("s"))),
        (pa.array([1, 2], pa.duration("s")), pa.array([1000, 2000], pa.duration("ms"))),
        (pa.array([1, 2], pa.time32("s")), pa.array([1000, 2000], pa.time32("ms"))),
        (pa.array([3_600, 7_200], pa.time32("s")), pa.array(["01:00:00", "2:00 AM"])),
        (pa.array([3_600, None], pa.duration("s")), pa.array(["0 days 01:00:00", None])),
        (pa.array([[1.0, 0.1], [2.0]]), pa.array([[1.0, float(np.float32(0.1))], [2.0]])),
        (pa.array([["a", "b"], None]), pa.array([["a", "b"], []])),
        (pa.array([[1, None], [2]]), pa.array([[1.0, math.nan], [2.0]])),
        (pa.array([b"ab", b"cd"], pa.binary(2)), pa.array(["ab", "cd"])),
        (pa.array([{"a": 1}, {"a": 2}]), pa.array([{"a": 1}, {"a": 2}])),
        (pa.array([None, None], pa.float64()), pa.nulls(2)),
    ],
)
def test_another_way_to_store_the_same_is_no_skew(training, served):
    report, feature = one(training, served)
    assert feature.differing == 0
    assert report.verdict is SkewVerdict.CONSISTENT


@pytest.mark.parametrize(
    ("training", "served", "reason"),
    [
        (pa.array([100_000, 7]), pa.array([100_001, 7]), "values_differ"),
        (pa.array([2**62, 7]), pa.array([2**62 + 1, 7]), "values_differ"),
        (pa.array([200_000, 6]), pa.array([200_000.5, 6.0]), "values_differ"),
        (pa.array([1.0, 2.0]), pa.array([1.0, 2.0001]), "values_differ"),
        (pa.array([math.inf, 2.0]), pa.array([3e38, 2.0]), "values_differ"),
        (pa.array([math.inf, 2.0]), pa.array([-math.inf, 2.0]), "values_differ"),
        (pa.array(["a", "b"]), pa.array(["a", "c"]), "values_differ"),
        (pa.array(["5", "6"]), pa.array([5, 6]), "type_changed"),
        (pa.array([5.0, None]), pa.array(["5.0", None]), "type_changed"),
        (pa.array([5.0, 6.0]), pa.array([[5.0, 1.0], [6.0]]), "type_changed"),
        (pa.array(DAYS, pa.timestamp("s")), pa.array(LATER, pa.timestamp("s")), "values_differ"),
        (pa.array(DAYS, pa.date32()), pa.array(LATER, pa.timestamp("s")), "values_differ"),
        (pa.array(DAYS, pa.date32()), pa.array(["2020-01-01", "soon"]), "type_changed"),
        (pa.array(DAYS, pa.timestamp("s")), pa.array([1, 2]), "type_changed"),
        (pa.array([1, 2], pa.duration("s")), pa.array([1, 3], pa.duration("s")), "values_differ"),
        (pa.array([60, 61], pa.time32("s")), pa.array(["00:01", "00:02"]), "values_differ"),
        (pa.array([60, 61], pa.time32("s")), pa.array(["00:01", "noon"]), "type_changed"),
        (pa.array([Decimal("0.10"), None]), pa.array([0.2, None]), "values_differ"),
        (pa.array([[1, 2], [3, 4]]), pa.array([[1, 2], [4, 3]]), "values_differ"),
        (pa.array([[1, 2], [3, 4]]), pa.array([[1, 2], [3]]), "values_differ"),
        (pa.array([["a", "b"], ["c"]]), pa.array([[1, 2], [3]]), "values_differ"),
        (pa.array([{"a": 1}, {"a": 2}]), pa.array([{"a": 1}, {"a": 3}]), "values_differ"),
        (pa.array([5.0, 6.0]), pa.nulls(2), "feature_missing"),
        (pa.nulls(2), pa.array(["a", None]), "feature_missing"),
    ],
)
def test_a_difference_beyond_rounding_has_its_reason(training, served, reason):
    report, feature = one(training, served)
    assert (report.verdict, report.reason) == (SkewVerdict.SKEWED, reason)
    assert (feature.reason, feature.differing > 0) == (reason, True)


def test_tolerated_is_a_share_of_rows():
    served = pa.array([1.0] * 99 + [2.0])
    assert one(pa.array([1.0] * 100), served, tolerated=0.01)[0].reason == "no_skew"
    assert one(pa.array([1.0] * 100), served, tolerated=0.009)[0].reason == "values_differ"


def test_what_cannot_be_compared_is_in_the_verdict():
    ids = pa.array([1, 2])
    left = pa.table({"id": ids, "x": ids, "f": pa.array([{"a": 1}, {"a": 2}])})
    right = pa.table({"id": ids, "x": ids, "f": pa.array([{"b": 1}, {"b": 2}])})
    report = find_skew(left, right, ID, SkewSettings(min_rows=1))
    assert (report.verdict, report.reason) == (
        SkewVerdict.PARTLY_COMPARED,
        "columns_not_compared",
    )
    assert report.not_compared == ("f",)
    assert "Not compared: f." in report.explanation


def log_of(training, **columns):
    """A prediction log whose requests hold one row each."""
    log = training.drop(columns="id").rename(columns=lambda name: f"feature.{name}")
    ids = [f"r{row}" for row in training["id"]]
    return log.assign(request_id=ids, instance_index=0, model_version=3, **columns)


def test_of_a_log_the_features_of_answered_rows_count():
    training, _ = pair()
    status = ["error" if row < 100 else "ok" for row in training["id"]]
    log = log_of(training, status=status, **{"output.score": 0.5})
    training["id"] = "r" + training["id"].astype(str)
    found = found_in(training, log, {"id": "request_id"})
    assert (found.rows, found.served_rows, found.reason) == (300, 300, "no_skew")
    assert {feature.feature for feature in found.features} == {"x", "city"}
    assert set(log_columns(log.columns, {"id": "request_id"})) == {
        "request_id",
        "status",
        "feature.x",
        "feature.city",
    }


def test_a_key_may_be_a_feature_of_the_log():
    training, _ = pair()
    log = training.rename(columns={"id": "feature.trip", "x": "feature.x", "city": "feature.city"})
    found = found_in(training, log, {"id": "trip"})
    assert (found.rows, found.reason) == (400, "no_skew")


def test_a_log_without_rows_is_not_enough_data():
    empty = pa.table({"request_id": pa.array([], pa.string())})
    found = find_skew(table(pair()[0]), empty, {"id": "trip"})
    assert (found.verdict.value, found.reason) == ("NOT_ENOUGH_DATA", "no_common_rows")


def test_what_the_reference_ignores_or_does_not_sample_is_not_compared():
    training, served = pair()
    tags = [["a", "b"]] * len(training)
    rows = table(training.assign(late=1.0, span=3)).append_column("tags", pa.array(tags))
    profile, sample = build(rows, ProfileRequest(label="late", ignore_features=("id",)))
    assert "tags" not in sample.column_names
    log = table(log_of(served)).append_column("feature.tags", pa.array(tags))
    log = log.set_column(log.column_names.index("request_id"), "trip", pa.array(served["id"]))
    settings = SkewSettings()
    found = find_skew_of_reference(profile, sample, log, {"id": "trip"}, settings)
    assert (found.verdict, found.not_compared) == (SkewVerdict.PARTLY_COMPARED, ("tags",))
    assert set(found.settings["ignore_features"]) == {"id", "late", "span"}
    without = log.drop(["feature.tags"])
    gone = find_skew_of_reference(profile, sample, without, {"id": "trip"}, settings)
    assert (gone.reason, gone.absent_in_serving) == ("feature_absent", ("tags",))


def test_keys_are_parsed_as_training_and_serving_name_them():
    assert parse_keys(["trip=request_id", "row"]) == {"trip": "request_id", "row": "row"}


@pytest.mark.parametrize("wrong", [[], [""], ["=a"], ["a="], ["a", "a"], ["a=c", "b=c"]])
def test_keys_without_sense_are_refused(wrong):
    with pytest.raises(ConfigError, match="TRAINING=SERVED"):
        parse_keys(wrong)


@pytest.mark.parametrize("wrong", [{"tolerated": 1.0}, {"tolerated": -0.1}, {"min_rows": 0}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SkewSettings(**wrong)


def test_json_and_page_hold_what_was_found():
    training, served = pair()
    served = served.assign(x=-served["x"], city="<b>", extra=1)
    found = found_in(training, served, examples=True)
    found = dataclasses.replace(found, window="2013-03", model_name="flights")
    content = json.loads(json.dumps(SKEW_REPORT.content(found), allow_nan=False))
    assert (content["schema_version"], content["verdict"]) == (1, "SKEWED")
    assert content["features"][0]["feature"] == "city"
    assert content["settings"]["tolerated"] == 0.001
    page = render(found)
    for told in ("SKEWED: values_differ", "flights", "2013-03", "only serving has it", "id=0"):
        assert told in page
    assert "<b>" not in page
    assert render(found_in(training, served.assign(id=-1))).count("<section>") == 1


SECONDS = 1.7e9 + np.arange(1_000) * 3_600.0 + 0.25


@pytest.mark.parametrize(
    ("training", "served", "verdict"),
    [
        # A minute is less than seven digits of a time since 1970 tell.
        (SECONDS, SECONDS + 60, SkewVerdict.SKEWED),
        (SECONDS, SECONDS + 1e-6, SkewVerdict.CONSISTENT),
        (SECONDS, SECONDS.astype(np.float32), SkewVerdict.CONSISTENT),
        (SECONDS * 1e-70, SECONDS * 2e-70, SkewVerdict.SKEWED),
        (np.exp(SECONDS % 7), np.exp(SECONDS % 7).round(5), SkewVerdict.CONSISTENT),
    ],
)
def test_numbers_far_from_0_are_compared_by_what_they_vary_by(training, served, verdict):
    keys = np.arange(len(training))
    rows = [table(pd.DataFrame({"id": keys, "x": side})) for side in (training, served)]
    assert find_skew(*rows, ID, SkewSettings()).verdict is verdict
