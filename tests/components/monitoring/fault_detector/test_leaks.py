"""Planted leaks are found on real tables, and clean tables have none."""

from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, Ridge

from tfx_loop.contracts.fault_report import FaultVerdict
from tfx_loop.monitoring.fault_detector.detection import detect_faults
from tfx_loop.monitoring.fault_detector.leaks.columns import columns_of
from tfx_loop.monitoring.fault_detector.leaks.copies import twins
from tfx_loop.monitoring.fault_detector.rows import SplitRows
from tfx_loop.monitoring.fault_detector.settings import DetectionSettings

# Each test fits a reference: the file takes half a minute.
pytestmark = pytest.mark.slow


class Table:
    """Rows of a table on both sides of a split, to plant leaks in."""

    def __init__(self, table, seed=0):
        self.random = np.random.default_rng(seed)
        order = self.random.permutation(len(table.target))
        self.cut = int(0.6 * len(order))
        self.x = {str(n): table.data[order, i] for i, n in enumerate(table.feature_names)}
        self.y = table.target[order].astype(float)
        self.groups = self.times = None

    def copy_rows(self, share, noise=0.0):
        """Puts copies of training rows among the held-out ones."""
        held_out = len(self.y) - self.cut
        places = self.cut + self.random.permutation(held_out)[: int(share * held_out)]
        origins = self.random.integers(0, self.cut, len(places))
        for values in self.x.values():
            step = noise * values.std() * self.random.normal(size=len(places))
            values[places] = values[origins] + step
        self.y[places] = self.y[origins]

    def found(self, **settings):
        return detect_faults(*self.sides(), DetectionSettings(**settings))

    def sides(self):
        x = np.stack([np.asarray(v, dtype=float) for v in self.numbers().values()], axis=1)
        x = (x - x[: self.cut].mean(axis=0)) / (x[: self.cut].std(axis=0) + 1e-9)
        kind = Ridge() if len(np.unique(self.y)) > 10 else LogisticRegression(max_iter=500)
        model = kind.fit(x[: self.cut], self.y[: self.cut])
        answers = (getattr(model, "predict_proba", None) or model.predict)(x)
        return [self._side(part, answers) for part in (slice(0, self.cut), slice(self.cut, None))]

    def numbers(self):
        return {name: v for name, v in self.x.items() if v.dtype.kind in "fiub"}

    def _side(self, part, answers):
        return SplitRows(
            features={name: values[part] for name, values in self.x.items()},
            labels=self.y[part],
            outputs=answers[part],
            groups=None if self.groups is None else self.groups[part],
            times=None if self.times is None else self.times[part],
        )


# scikit-learn ships the diabetes table centred on all rows, which is a finding of its own.
TABLES = {"cancer": load_breast_cancer, "diabetes": partial(load_diabetes, scaled=False)}


@pytest.fixture(params=TABLES)
def table(request):
    return Table(TABLES[request.param]())


@pytest.fixture
def cancer():
    return Table(load_breast_cancer())


def kinds(found):
    return {finding.kind for finding in found.findings}


def test_a_clean_table_has_no_leak(table):
    table.groups = np.arange(len(table.y))
    table.times = np.arange(len(table.y)).astype(float)
    found = table.found()
    assert found.findings == ()
    assert found.verdict is FaultVerdict.SOUND


def test_a_feature_that_was_made_of_the_label_stops_the_push(table):
    table.x["leak"] = table.y + table.random.normal(size=len(table.y)) * 0.05 * table.y.std()
    found = table.found()
    assert (found.verdict, found.reason) == (FaultVerdict.BLOCK, "feature_tells_label")
    assert [f.feature for f in found.findings if f.kind == "feature_tells_label"] == ["leak"]
    accepted = table.found(acknowledged={"feature_tells_label:leak": "known before, Ann"})
    assert accepted.verdict is FaultVerdict.WARN


def test_a_feature_that_dominates_is_named_and_stops_where_asked():
    random = np.random.default_rng(0)
    table = Table(load_breast_cancer())
    # A third of the labels redrawn: too weak to tell them, and beyond all that noise tells.
    redrawn = random.random(len(table.y)) < 0.35
    leak = np.where(redrawn, random.integers(0, 2, len(table.y)), table.y)
    table.x = {f"noise{i}": random.normal(size=len(table.y)) for i in range(5)} | {"leak": leak}
    found = table.found()
    assert (found.verdict, found.reason) == (FaultVerdict.WARN, "feature_dominates")
    assert found.findings[0].feature == "leak"
    stopped = table.found(blocking=("feature_dominates",))
    assert stopped.verdict is FaultVerdict.BLOCK


@pytest.mark.parametrize(("share", "verdict"), [(0.02, "WARN"), (0.2, "BLOCK")])
def test_copied_rows_stop_the_push_and_the_loss_without_them_is_told(table, share, verdict):
    table.copy_rows(share)
    found = table.found()
    (finding,) = [f for f in found.findings if f.kind == "copied_rows"]
    assert found.verdict.value == verdict
    assert finding.evidence["share"] == pytest.approx(share, rel=0.3)
    assert "loss_without" in finding.evidence


def test_copies_with_noise_are_warned_of(cancer):
    cancer.copy_rows(0.1, noise=0.001)
    found = cancer.found()
    assert kinds(found) == {"near_copies"}
    assert found.verdict is FaultVerdict.WARN


def test_twins_by_chance_among_few_categories_are_no_copies():
    random = np.random.default_rng(0)
    table = Table(load_breast_cancer())
    table.x = {
        name: np.array(["a", "b", "c"], dtype=object)[random.integers(0, 3, len(table.y))]
        for name in "uvw"
    } | {"size": table.x["mean area"].round(-3)}
    training, held_out = table.sides()
    copied, pairs, alike = twins(tuple(columns_of(training, held_out)))
    assert copied.mean() > 0.5
    assert pairs < alike
    assert not kinds(table.found()) & {"copied_rows", "near_copies"}


def test_pairs_are_counted_as_by_hand():
    def side(rows):
        x = np.array(rows, dtype=float)
        return SplitRows(
            features={"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]},
            labels=np.zeros(len(x)),
            outputs=np.zeros(len(x)),
        )

    training = side([[1, 1, 1], [1, 1, 1], [1, 2, 3], [np.nan, 0, 0]])
    held_out = side([[1, 1, 1], [1, 1, 2], [9, 2, 3], [np.nan, 0, 0], [5, 6, 7]])
    copied, pairs, alike = twins(tuple(columns_of(training, held_out)))
    assert copied.tolist() == [True, False, False, True, False]
    assert pairs == 3
    # (1, 1, 2) with both (1, 1, 1), and (9, 2, 3) with (1, 2, 3).
    assert alike == 3


def test_groups_on_both_sides_stop_the_push_and_what_they_hide_is_told():
    random = np.random.default_rng(0)
    origin = load_breast_cancer()
    chosen = random.permutation(len(origin.target))[:250]

    class Thrice:
        target = np.repeat(random.integers(0, 2, 250), 3)
        data = np.repeat(origin.data[chosen], 3, axis=0)
        feature_names = origin.feature_names

    table = Table(Thrice, seed=1)
    for values in table.x.values():
        values += random.normal(size=len(values)) * 0.05 * values.std()
    # The order of the rows of Table, so that a group names the rows of one patient.
    table.groups = np.repeat(np.arange(250), 3)[np.random.default_rng(1).permutation(750)]
    found = table.found()
    (finding,) = [f for f in found.findings if f.kind == "groups_overlap"]
    assert found.verdict is FaultVerdict.BLOCK
    assert finding.evidence["share"] > 0.5
    assert finding.evidence["hidden_share"] > 0.02


def test_one_group_of_all_rows_overlaps(cancer):
    cancer.groups = np.full(len(cancer.y), "one", dtype=object)
    found = cancer.found()
    (finding,) = [f for f in found.findings if f.kind == "groups_overlap"]
    assert finding.evidence == {"share": 1.0}


def test_held_out_rows_from_before_training_rows_stop_the_push(cancer):
    cancer.times = cancer.random.permutation(len(cancer.y)).astype(float)
    found = cancer.found()
    assert "times_overlap" in kinds(found)
    assert found.verdict is FaultVerdict.BLOCK


@pytest.mark.parametrize("rows_a_level", [2, 5])
def test_an_encoding_with_each_rows_own_label_is_found(cancer, rows_a_level):
    ids = cancer.random.integers(0, len(cancer.y) // rows_a_level, len(cancer.y))
    sums = np.bincount(ids[: cancer.cut], weights=cancer.y[: cancer.cut], minlength=len(cancer.y))
    counts = np.bincount(ids[: cancer.cut], minlength=len(cancer.y))
    overall = cancer.y[: cancer.cut].mean()
    encoded = np.where(counts > 0, sums / np.maximum(counts, 1), overall)[ids]
    cancer.x["encoded"] = encoded
    found = cancer.found()
    assert found.verdict is FaultVerdict.BLOCK
    assert "encoded" in {f.feature for f in found.findings if f.kind == "own_label_encoding"}


def test_labels_that_moved_between_the_sides_are_no_encoding():
    random = np.random.default_rng(0)
    table = Table(load_breast_cancer())
    rows = np.arange(len(table.y))
    # The held-out rows have far more of one class.
    table.y = (random.random(len(rows)) < np.where(rows < table.cut, 0.15, 0.5)).astype(float)
    table.x = {"a": random.normal(size=len(rows)) + table.y, "b": random.normal(size=len(rows))}
    assert "own_label_encoding" not in kinds(table.found())


def test_scaling_with_the_held_out_rows_in_sight_is_warned_of(cancer):
    for name, values in cancer.x.items():
        cancer.x[name] = (values - values.mean()) / values.std()
    found = cancer.found()
    assert (found.verdict, found.reason) == (FaultVerdict.WARN, "fitted_on_all_rows")


def test_the_weighted_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    from tfx_loop.monitoring.fault_detector.leaks.single_feature import _weighted_f1

    random = np.random.default_rng(0)
    labels, guessed = (random.integers(0, 4, 200).astype(float) for _ in "ab")
    assert _weighted_f1(labels, guessed) == pytest.approx(
        f1_score(labels, guessed, average="weighted")
    )
