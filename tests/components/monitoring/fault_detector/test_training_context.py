"""Interchanged sides, times of features and labels, the learning curve, Transform's splits."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from tfx_loop.contracts.fault_report import (
    FAULT_REPORT,
    FaultVerdict,
    LearningCurve,
)
from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.fault_detector.detection import detect_faults
from tfx_loop.monitoring.fault_detector.leaks.columns import columns_of
from tfx_loop.monitoring.fault_detector.leaks.copies import copy_findings
from tfx_loop.monitoring.fault_detector.leaks.split import order_findings
from tfx_loop.monitoring.fault_detector.learning_curve import read_curve
from tfx_loop.monitoring.fault_detector.page import render
from tfx_loop.monitoring.fault_detector.rows import SplitRows, TrainingContext, no_rows
from tfx_loop.monitoring.fault_detector.rows_from_columns import split_rows
from tfx_loop.monitoring.fault_detector.settings import ColumnSettings, DetectionSettings
from tfx_loop.monitoring.reference_models.feature_matrix import feature_matrices
from tfx_loop.monitoring.reference_models.wide_features import shrunk

# References are fitted, and TensorFlow writes event files.
pytestmark = pytest.mark.slow
SETTINGS = DetectionSettings()


@pytest.fixture(scope="module")
def cancer():
    """Both halves of a table."""
    found = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(found.target))
    return [(found.data[rows], found.target[rows].astype(float)) for rows in np.split(order, [284])]


def side(x, y, model):
    features = {f"x{place}": x[:, place] for place in range(x.shape[1])}
    return SplitRows(features=features, labels=y, outputs=model.predict_proba(x))


def by_heart(x, y):
    return DecisionTreeClassifier(random_state=0).fit(x, y)


def test_interchanged_sides_are_told_and_sides_in_order_are_not(cancer):
    model = by_heart(*cancer[0])
    sides = [side(*part, model) for part in cancer]
    found = detect_faults(sides[1], sides[0], SETTINGS)
    assert (found.verdict, found.reason) == (FaultVerdict.BLOCK, "splits_swapped")
    assert "interchanged" in found.explanation
    assert "splits_swapped" not in {f.kind for f in detect_faults(*sides, SETTINGS).findings}
    sound = LogisticRegression(max_iter=5_000).fit(*cancer[0])
    for order in (cancer, cancer[::-1]):
        found = detect_faults(*(side(*part, sound) for part in order), SETTINGS)
        assert "splits_swapped" not in {f.kind for f in found.findings}


def written(folder, losses, sub):
    """Leaves what Keras' TensorBoard callback leaves."""
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder / sub))
    with writer.as_default():
        for epoch, loss in enumerate(losses):
            tf.summary.scalar("epoch_loss", loss, step=epoch)
            tf.summary.scalar("epoch_accuracy", 0.5, step=epoch)
    writer.close()


@pytest.mark.tensorflow
def test_the_learning_curve_names_the_best_epoch_in_advice_and_page(cancer, tmp_path):
    written(tmp_path, [0.6, 0.4, 0.2, 0.1], "train")
    written(tmp_path, [0.5, 0.3, 0.6, 0.9], "validation")
    curve = read_curve(str(tmp_path))
    assert curve is not None
    assert curve.training == pytest.approx((0.6, 0.4, 0.2, 0.1))
    assert (curve.best_epoch, curve.last_epoch) == (2, 4)
    assert read_curve(str(tmp_path / "nowhere")) is None
    model = by_heart(*cancer[0])
    sides = (side(*part, model) for part in cancer)
    found = detect_faults(*sides, SETTINGS, TrainingContext(curve=curve))
    assert found.reason == "over_fitted"
    assert "lowest after epoch 2 of 4 (0.3, at the last 0.9): stop there" in found.explanation
    page = render(found)
    assert "2 (best)" in page
    assert "4 (last)" in page
    FAULT_REPORT.write(found, tmp_path)
    assert FAULT_REPORT.read(tmp_path).curve == curve


def test_a_loss_that_still_falls_asks_for_more_epochs(cancer):
    model = DummyClassifier().fit(*cancer[0])
    context = TrainingContext(curve=LearningCurve(training=(0.7, 0.69, 0.68)))
    found = detect_faults(*(side(*part, model) for part in cancer), SETTINGS, context)
    assert found.reason == "under_fitted"
    assert "still falling at the last of 3 epochs (0.69 to 0.68)" in found.explanation


def timed(known, due, labelled):
    columns = {"x": np.arange(4.0), "y": [0, 1, 0, 1], "known": known, "due": due, "told": labelled}
    settings = ColumnSettings(
        label_key="y",
        time_column="due",
        feature_times={"x": "known"},
        label_time_column="told",
    )
    rows = split_rows(columns, np.full(4, 0.5), settings, ())
    assert set(rows.features) == {"x"}
    return rows


def test_a_feature_after_the_prediction_and_a_label_before_it_stop_the_push():
    late = timed([5, 11, 12, np.nan], [10, 10, 10, 10], [20, 20, 20, 9])
    fine = timed([1, 2, 3, 10], [10, 10, 10, 10], [10, 20, 20, 20])
    found = {finding.name: finding for finding in order_findings(late, fine)}
    assert set(found) == {"feature_after_prediction:x", "label_before_event"}
    assert all(finding.blocks for finding in found.values())
    assert found["feature_after_prediction:x"].evidence["share"] == 0.25
    assert found["label_before_event"].evidence["share"] == 0.125
    assert order_findings(fine, fine) == []
    with pytest.raises(ConfigError, match="Expected time_column"):
        ColumnSettings(label_key="y", feature_times={"x": "known"}).check_times()


def test_rows_without_a_finite_label_are_left_out_and_told(cancer):
    model = LogisticRegression(max_iter=5_000).fit(*cancer[0])
    sides = []
    for x, y in cancer:
        labels = np.concatenate([[np.nan, np.inf], y[2:]])
        columns = {"x": x[:, 0], "y": labels}
        settings = ColumnSettings(label_key="y")
        sides.append(split_rows(columns, model.predict_proba(x), settings, ()))
    found = detect_faults(*sides, SETTINGS)
    assert found.training_rows == len(cancer[0][1]) - 2
    assert "4 rows: their label is missing or not finite" in found.untested
    with pytest.raises(DataError, match="Expected held-out rows with a label, received none"):
        detect_faults(sides[0], no_rows(sides[1]), SETTINGS)


def test_a_split_that_transform_analysed_and_outputs_centred_on_all_rows_are_told(cancer):
    model = LogisticRegression(max_iter=5_000).fit(*cancer[0])
    sides = [side(*part, model) for part in cancer]
    declared = detect_faults(*sides, SETTINGS, TrainingContext(analyzed=("eval",)))
    (finding,) = (f for f in declared.findings if f.kind == "fitted_on_all_rows")
    assert "Transform analysed eval" in finding.explanation
    pooled = np.concatenate([part[0] for part in cancer])
    center, scale = pooled.mean(axis=0), pooled.std(axis=0)
    made = tuple(
        {f"x{n}_xf": (x[:, n] - center[n]) / scale[n] for n in range(x.shape[1])} for x, _ in cancer
    )
    seen = detect_faults(*sides, SETTINGS, TrainingContext(transformed=made))
    assert "fitted_on_all_rows" in {f.kind for f in seen.findings}
    alone = detect_faults(*sides, SETTINGS)
    assert "fitted_on_all_rows" not in {f.kind for f in alone.findings}


@pytest.mark.parametrize(("share", "stops"), [(0.03, True), (0.001, False)])
def test_copies_among_a_tenth_of_the_training_rows_stop_by_their_lower_bound(share, stops):
    random = np.random.default_rng(0)
    training, held_out = random.normal(size=(20_000, 3)), random.normal(size=(4_000, 3))
    copied = random.random(4_000) < share
    held_out[copied] = training[random.integers(0, len(training), copied.sum())]
    drawn = training[random.random(len(training)) < 0.1]
    sides = [
        SplitRows(
            features={"abc"[n]: x[:, n] for n in range(3)},
            labels=np.zeros(len(x)),
            outputs=np.zeros(len(x)),
        )
        for x in (drawn, held_out)
    ]
    found = copy_findings(tuple(columns_of(*sides)), np.zeros(4_000), 0.1)
    assert [finding.blocks for finding in found if finding.kind == "copied_rows"] == (
        [True] if stops else []
    )


def test_images_are_scaled_down_and_texts_become_topics():
    random = np.random.default_rng(0)
    bright = random.random(200) < 0.5
    images = random.random((200, 40, 40, 3)) * 0.5
    images[bright, :20, :20] += 0.5
    assert shrunk(images).shape == (200, 256)
    assert shrunk(images.reshape(200, -1)) == pytest.approx(shrunk(images))
    assert shrunk(images[:, :3, :3]).shape == (200, 27)
    assert shrunk(random.random((5, 1_001))).shape == (5, 256)
    corner = shrunk(images).reshape(200, 16, 16)[:, :8, :8].mean(axis=(1, 2))
    assert corner[bright].min() > corner[~bright].max()
    words = np.array(["late again and angry", "early calm and glad"])
    texts = np.array(
        [f"{words[int(own)]} w{place}" for place, own in enumerate(bright)], dtype=object
    )
    made, others = feature_matrices({"said": texts[:100]}, {"said": texts[100:]})
    assert made.shape[1] == others.shape[1] <= 16
    model = LogisticRegression().fit(made, bright[:100])
    assert model.score(others, bright[100:]) > 0.95


@pytest.mark.tensorflow
def test_the_node_reads_the_splits_that_its_transform_analyses():
    from tfx import v1 as tfx
    from tfx.proto import transform_pb2
    from tfx.types import channel_utils, standard_artifacts

    from tfx_loop import FaultDetector

    examples = channel_utils.as_channel([standard_artifacts.Examples()])
    config = transform_pb2.SplitsConfig(analyze=["train", "eval"], transform=["train"])
    schema = channel_utils.as_channel([standard_artifacts.Schema()])

    def node(**given):
        return FaultDetector(
            model=channel_utils.as_channel([standard_artifacts.Model()]),
            examples=examples,
            label_key="y",
            score_key="y",
            **given,
        ).exec_properties["analyzed_splits"]

    def graph(**config):
        transform = tfx.components.Transform(
            examples=examples, schema=schema, preprocessing_fn="a.b", **config
        )
        return transform.outputs["transform_graph"]

    assert json.loads(node(transform_graph=graph(splits_config=config))) == ["train", "eval"]
    assert json.loads(node(transform_graph=graph())) == []
    given = node(transform_graph=graph(splits_config=config), analyzed_splits=("train",))
    assert json.loads(given) == ["train"]
    assert json.loads(node()) == []
