"""Roles and thresholds of columns survive their way to the executors, written as dictionaries."""

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.monitoring.drift.settings import ColumnThresholds
from tfx_loop.monitoring.drift_monitor.settings import DriftMonitorSettings
from tfx_loop.monitoring.profile.column_roles import ColumnRoles
from tfx_loop.monitoring.reference_profiler.settings import ReferenceProfilerSettings

ROLES = {"label": "tips", "ids": ["trip"], "categorical": ["zip"]}


def test_roles_and_thresholds_are_the_same_in_the_executor():
    given = {"roles": ROLES, "thresholds": {"fare": {"psi_floor": 0.5, "q": 0.01}}}
    settings = DriftMonitorSettings.of(given)
    assert settings.roles == ColumnRoles(label="tips", ids=("trip",), categorical=("zip",))
    assert DriftMonitorSettings.from_properties(settings.to_properties()) == settings
    own = settings.thresholds_of("fare#length")
    assert own == ColumnThresholds(psi_floor=0.5, q=0.01, missing_rise=0.2)
    assert settings.left_out == {"trip"}


def test_the_profiler_takes_the_same_roles():
    settings = ReferenceProfilerSettings.of({"roles": ROLES})
    assert ReferenceProfilerSettings.from_properties(settings.to_properties()) == settings
    assert settings.request().label_column == "tips"


def test_a_threshold_that_cannot_work_is_told():
    with pytest.raises(ConfigError, match="psi_floor must be 0 or more, got -1"):
        DriftMonitorSettings.of({"thresholds": {"fare": {"psi_floor": -1.0}}})
    with pytest.raises(ConfigError, match="Did you mean 'psi_floor'"):
        DriftMonitorSettings.of({"thresholds": {"fare": {"psi_flor": 1.0}}})
