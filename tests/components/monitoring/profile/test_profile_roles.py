"""Roles and types that a reference profile is made with, and windows counted on it."""

import numpy as np
import pyarrow as pa
import pytest
from counted_rows import counted_window

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.drift.settings import DriftSettings
from tfx_loop.monitoring.drift.window_report import monitor
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.profile.columns import FeatureType

ROWS = 3_000
ROLES = ColumnRoles(
    label="sold", ids=("order",), time="year", categorical=("zip",), text=("remark",)
)


def rows(seed, codes=(10115, 20095, 50667)):
    random = np.random.default_rng(seed)
    return {
        "zip": pa.array(random.choice(codes, ROWS)),
        "order": pa.array(random.random(ROWS)),
        "year": pa.array(random.normal(size=ROWS)),
        "remark": pa.array(random.choice(["late again", "came twice"], ROWS)),
        "sold": pa.array(random.integers(0, 2, ROWS)),
        "x": pa.array(random.normal(size=ROWS)),
    }


def test_a_profile_has_the_types_that_roles_say_and_leaves_out_what_is_no_feature():
    profile, _ = build(pa.table(rows(0)), ProfileRequest(roles=ROLES))
    kinds = {feature.name: feature.kind for feature in profile.features}
    assert kinds == {
        "zip": FeatureType.CATEGORICAL,
        "remark#length": FeatureType.TEXT,
        "remark#token": FeatureType.TEXT,
        "x": FeatureType.NUMERIC,
    }
    assert profile.label == "sold"
    assert {"order", "year", "sold"} <= profile.unwatched


@pytest.mark.parametrize(
    ("codes", "verdict", "fault"),
    [((10115, 20095, 50667), "STABLE", None), ((10115, 20095, 50668), "DATA_FAULT", "new_categ")],
)
def test_a_window_is_judged_by_the_types_of_its_profile(codes, verdict, fault):
    profile, _ = build(pa.table(rows(0)), ProfileRequest(roles=ROLES))
    window = counted_window(profile, rows(1, codes))
    report = monitor(profile, window, DriftSettings())
    assert report.verdict.value == verdict
    (entry,) = [feature for feature in report.features if feature.feature == "zip"]
    assert (entry.type, (entry.fault or "")[:9]) == ("categorical", fault or "")


def test_a_monitor_may_leave_out_what_the_profile_took_for_features():
    profile, _ = build(pa.table(rows(0)), ProfileRequest())
    window = counted_window(profile, rows(1))
    report = monitor(profile, window, DriftSettings(roles=ROLES))
    assert not {"order", "year"} & {feature.feature for feature in report.features}


def test_a_column_has_one_role_and_what_is_named_must_be_there():
    with pytest.raises(ConfigError, match="one role for column 'zip', received ids and numeric"):
        ColumnRoles(ids=("zip",), numeric=("zip",))
    with pytest.raises(ConfigError, match=r"as categorical, received 'zp'. Did you mean 'zip'\?"):
        build(pa.table(rows(0)), ProfileRequest(roles=ColumnRoles(categorical=("zp",))))
    with pytest.raises(DataError, match="'remark': Expected numbers as it is named"):
        build(pa.table(rows(0)), ProfileRequest(roles=ColumnRoles(numeric=("remark",))))


def test_later_roles_go_before_earlier_ones_of_the_same_column():
    first = ColumnRoles(label="y", ids=("a", "b"), time="t")
    later = first.overridden(ColumnRoles(label="z", numeric=("a", "t")))
    assert later == ColumnRoles(label="z", ids=("b",), numeric=("a", "t"))
