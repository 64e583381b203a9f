"""Membership inference tells models that know rows by heart from honest ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tfx_loop.contracts.privacy_report import PRIVACY_REPORT, PrivacyVerdict
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.privacy_report.membership import (
    MembershipSettings,
    infer_membership,
    separation,
)
from tfx_loop.monitoring.privacy_report.page import render
from tfx_loop.monitoring.privacy_report.reference_losses import reference_losses
from tfx_loop.monitoring.reference_models.evaluated_rows import EvaluatedRows
from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices
from tfx_loop.monitoring.reference_models.row_losses import row_losses

ROWS = 400


def world(seed, rows=ROWS):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 4))
    chance = 1 / (1 + np.exp(-2 * features[:, 0]))
    return features, (random.random(rows) < chance).astype(float), chance


def asked(seed, *, by_heart=0.0, rows=ROWS):
    """Rows that the true chance answers, moved towards the label as one who knows it would."""
    features, labels, chance = world(seed, rows)
    outputs = chance + by_heart * (labels - chance)
    return EvaluatedRows(features=features, labels=labels, outputs=outputs)


def test_a_model_that_knows_its_rows_is_warned_of():
    found = infer_membership(asked(0, by_heart=0.5), asked(1), MembershipSettings())
    assert (found.verdict, found.reason) == (PrivacyVerdict.WARN, "members_recognised")
    assert found.calibrated.low > 0.55
    assert found.calibrated.auc > found.control.auc
    assert "docs/privacy.md" in found.explanation


def test_an_honest_model_is_not():
    found = infer_membership(asked(0), asked(1), MembershipSettings())
    assert (found.verdict, found.reason) == (PrivacyVerdict.NO_SIGN, "not_recognised")
    for part in (found.plain, found.calibrated, found.control):
        assert abs(part.auc - 0.5) < 3 * part.standard_error


def test_sides_that_differ_by_themselves_are_told():
    easy = asked(1)
    hard = replace(asked(2), labels=np.random.default_rng(0).integers(0, 2, ROWS).astype(float))
    found = infer_membership(easy, hard, MembershipSettings())
    assert "differ by themselves" in found.explanation


@pytest.mark.parametrize(("members", "others"), [(299, 400), (400, 299)])
def test_fewer_than_300_rows_a_side_are_refused(members, others):
    found = infer_membership(asked(0, rows=members), asked(1, rows=others), MembershipSettings())
    assert (found.verdict.value, found.reason) == ("NOT_ENOUGH_DATA", "too_few_rows")
    assert found.calibrated is None
    assert PRIVACY_REPORT.content(found)["calibrated"] is None
    assert "NOT ENOUGH DATA" in render(found)


def test_the_area_is_that_of_scikit_learn_and_its_error_shrinks_with_the_rows():
    random = np.random.default_rng(0)
    members, others = random.normal(-0.5, 1, 300).round(1), random.normal(size=500).round(1)
    found = separation(members, others)
    truth = roc_auc_score([1] * 300 + [0] * 500, -np.concatenate([members, others]))
    assert found.auc == pytest.approx(truth)
    assert found.true_positive_rate == np.mean(-members > np.quantile(-others, 0.99))
    more = separation(np.repeat(members, 4), np.repeat(others, 4))
    assert more.standard_error == pytest.approx(found.standard_error / 2, rel=0.02)


def test_references_saw_no_row_of_either_side():
    """Labels of pure chance: who saw a row would do better on it than a coin."""
    random = np.random.default_rng(0)
    features = [random.normal(size=(ROWS, 3)) for _ in range(2)]
    labels = [random.integers(0, 2, ROWS).astype(float) for _ in range(2)]
    losses = reference_losses(features, labels, 2, folds=5, seed=0)
    found = separation(*losses)
    assert found.low < 0.5 < found.high
    assert min(side.mean() for side in losses) > np.log(2)


@pytest.mark.parametrize(
    ("outputs", "labels", "losses", "classes"),
    [
        ([0.25, 0.25], [1, 0], [-np.log(0.25), -np.log(0.75)], 2),
        ([[0.5], [3.0]], [1, 0], [np.log1p(np.exp(-0.5)), np.log1p(np.exp(3.0))], 2),
        ([1.0, 2.0], [1.5, 4], [0.25, 4], 0),
        ([[0.2, 0.3, 0.5]] * 2, [2, 0], [-np.log(0.5), -np.log(0.2)], 3),
        ([[0.0, np.log(3)]] * 2, [1, 0], [-np.log(0.75), -np.log(0.25)], 2),
    ],
)
def test_losses_are_those_of_what_the_outputs_are(outputs, labels, losses, classes):
    given = np.array(outputs, float), np.array(labels, float)
    (first, second), found = row_losses((given[0], given[0]), (given[1], given[1]))
    assert found == classes
    np.testing.assert_allclose(first, losses, rtol=1e-6)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("outputs", "labels", "says"),
    [
        ([np.nan, 0.5], [0, 1], "finite"),
        ([[0.5, 0.5]] * 2, [0, 2], "labels from 0 to 1"),
        ([[0.5, 0.5]] * 2, [0, 0.5], "labels from 0 to 1"),
    ],
)
def test_outputs_that_do_not_go_with_labels_are_refused(outputs, labels, says):
    given = np.array(outputs, float), np.array(labels, float)
    with pytest.raises(DataError, match=says):
        row_losses((given[0], given[0]), (given[1], given[1]))


def test_columns_of_all_kinds_become_numbers():
    members = {"x": np.array([1.0, np.nan, 3.0]), "c": np.array(["a", "b", None], object)}
    others = {"x": np.array([1e9, 2.0, 3.0]), "c": np.array(["b", "z", "a"], object)}
    left, right = feature_matrices(members, others)
    assert np.isfinite(left).all()
    assert right.max() == 8
    assert left.shape == right.shape == (3, 5)
    assert right[1, :3].sum() == 0


def test_the_report_holds_no_row_and_is_read_again():
    found = infer_membership(asked(0), asked(1), MembershipSettings())
    content = json.loads(json.dumps(PRIVACY_REPORT.content(found), allow_nan=False))
    assert PRIVACY_REPORT.value(content) == found
    assert "NO SIGN" in render(found)


@pytest.mark.parametrize("wrong", [{"threshold": 0.4}, {"max_rows": 299}, {"folds": 1}])
def test_settings_that_cannot_work(wrong):
    with pytest.raises(ConfigError):
        MembershipSettings(**wrong)
