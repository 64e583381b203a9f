"""Champion against candidate on the same logged rows."""

import numpy as np
import pyarrow as pa
import pytest
from log_rows import batch_of

from tfx_loop.core.errors import ModelRejected, ServerUnavailable
from tfx_loop.data.prediction_log.logged_examples import examples_of
from tfx_loop.deployment.serving_pusher.shadow import (
    SHADOW_REPORT,
    ShadowCheck,
    ShadowTerms,
    compared,
    labels_of,
)

pytestmark = pytest.mark.tensorflow

NAN = float("nan")


class AnsweringClient:
    """Answers each version's rows by a function of them; each request takes that long."""

    def __init__(self, **functions):
        self.functions, self.asked, self.now = functions, [], 0.0

    def predict(self, *, instances, signature_name, version, request_id, golden_token):
        self.asked.append((version, len(instances), golden_token))
        self.now += 0.001 * version
        answer = self.functions[f"v{version}"]
        if isinstance(answer, Exception):
            raise answer
        return {"p": [answer(row) for row in instances]}


def shadow(client, labels=(), terms=None, reports=None, rows=20):
    return ShadowCheck(
        client=client,
        instances=[row / rows for row in range(rows)],
        labels=np.array(labels or [NAN] * rows),
        signature="serving_default",
        champion=1,
        terms=terms or ShadowTerms(),
        token="t",
        report=(reports if reports is not None else []).append,
        clock=lambda: client.now,
    )


def test_both_are_asked_the_same_rows_and_compared(tmp_path):
    client = AnsweringClient(
        v1=lambda row: row, v2=lambda row: min(row + 0.1, 1.0) if row > 0.6 else row
    )
    reports = []
    shadow(client, [float(row >= 10) for row in range(20)], reports=reports)(2)
    (report,) = reports
    assert (report.champion, report.candidate, report.rows) == (1, 2, 20)
    assert report.agreement == {"p": 1.0}
    assert report.mean_difference["p"] == pytest.approx(0.65 / 20)
    assert (report.champion_latency_ms, report.candidate_latency_ms) == (
        pytest.approx(1.0),
        pytest.approx(2.0),
    )
    assert (report.loss, report.labelled_rows) == ("log_loss", 20)
    assert report.candidate_loss < report.champion_loss
    assert {token for _, _, token in client.asked} == {"t"}
    SHADOW_REPORT.write(report, tmp_path)
    assert SHADOW_REPORT.read(tmp_path) == report


def test_candidate_that_decides_otherwise_or_loses_more_is_refused():
    client = AnsweringClient(v1=lambda row: row, v2=lambda row: 1.0 - row)
    with pytest.raises(ModelRejected, match=r"on 90\.0% of the logged rows, received 5\.0%"):
        shadow(client, terms=ShadowTerms(min_agreement=0.9))(2)
    labels = [float(row >= 10) for row in range(20)]
    with pytest.raises(ModelRejected, match=r"at most 1\.1 times"):
        shadow(client, labels, ShadowTerms(max_loss_ratio=1.1))(2)
    shadow(client, labels)(2)


def test_champion_that_does_not_answer_leaves_nothing_to_compare():
    reports = []
    client = AnsweringClient(v1=ServerUnavailable("gone"), v2=lambda row: row)
    shadow(client, reports=reports, terms=ShadowTerms(min_agreement=1.0))(2)
    assert reports == []


@pytest.mark.parametrize(
    ("first", "second", "agreement"),
    [
        ([[0.1, 0.9], [0.6, 0.4]], [[0.2, 0.8], [0.3, 0.7]], 0.5),
        ([0.4, 0.6], [0.45, 0.3], 0.5),
        ([0.0, 10.0], [0.4, 10.6], 0.5),
        (["a", "b"], ["a", "c"], 0.5),
        ([1, 2], [1, 2], 1.0),
    ],
)
def test_agreement_is_of_decisions(first, second, agreement):
    none = np.full(2, NAN)
    found = compared({"p": np.array(first)}, {"p": np.array(second)}, none)
    assert found["agreement"] == {"p": agreement}


def test_outputs_that_only_one_has_agree_nowhere():
    found = compared({"p": np.zeros(2)}, {"q": np.zeros(2)}, np.full(2, NAN))
    assert found["agreement"] == {"p": 0.0, "q": 0.0}


@pytest.mark.parametrize(
    ("answers", "labels", "loss", "value"),
    [
        ([[0.25, 0.75], [0.5, 0.5]], [1, 0], "log_loss", -(np.log(0.75) + np.log(0.5)) / 2),
        ([3.0, 5.0], [2.0, 5.0], "squared_error", 0.5),
        ([0.0, 1.0], [1.0, 1.0], "log_loss", -np.log(np.finfo(float).eps) / 2),
    ],
)
def test_loss_suits_the_output(answers, labels, loss, value):
    same = {"p": np.array(answers)}
    found = compared(same, same, np.array(labels, dtype=float))
    assert (found["loss"], found["candidate_loss"]) == (loss, pytest.approx(value))


def test_logged_rows_become_examples():
    import tensorflow as tf

    table = pa.Table.from_batches([batch_of("a", 2)]).append_column(
        "feature.tags", pa.array([["x", "y"], None])
    )
    parsed = [tf.train.Example.FromString(raw).features.feature for raw in examples_of(table)]
    assert list(parsed[0]["tags"].bytes_list.value) == [b"x", b"y"]
    assert parsed[1]["hour"].int64_list.value == [1]
    assert parsed[1]["temp"].float_list.value == [1.0]
    assert parsed[1]["tags"].WhichOneof("kind") is None
    assert np.isnan(labels_of(table)).all()
