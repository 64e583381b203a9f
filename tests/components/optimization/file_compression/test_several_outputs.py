"""Each output of a model has a budget of its own, and one without is not destroyed unseen."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from tfx_loop.contracts.optimization_report import RungStatus
from tfx_loop.core.errors import ConfigError
from tfx_loop.models.rows.splits import Rows
from tfx_loop.optimization.file_compression.request import (
    CompressionRequest,
    requested_outputs,
)
from tfx_loop.optimization.file_compression.task import budget_unit, check_share
from tfx_loop.optimization.metrics.budget import Budget
from tfx_loop.optimization.metrics.metrics import infer_metric
from tfx_loop.optimization.quantizer.budget_verdict import VariantJudge
from tfx_loop.pipelines.cli import compress as command
from tfx_loop.pipelines.cli.main import main

# Enough weights for int8 to be the smallest file.
WIDTH = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two heads: three kinds, and a price in thousands, which int8 rounds by tens."""
    import tf_keras as keras

    folder = tmp_path_factory.mktemp("heads")
    random = np.random.default_rng(0)
    rows = random.normal(size=(700, WIDTH)).astype(np.float32)
    layers = keras.layers
    given = layers.Input((WIDTH,), name="x")
    kind = layers.Dense(3, activation="softmax", name="kind")
    price = layers.Dense(1, name="price")
    model = keras.Model(given, {"kind": kind(given), "price": price(given)})
    kind.set_weights([random.normal(size=(WIDTH, 3)), np.zeros(3)])
    price.set_weights([100 * random.normal(size=(WIDTH, 1)), np.zeros(1)])
    answers = model.predict(rows, verbose=0)
    model.save(folder / "model.keras")
    kinds = np.array(["high", "low", "middle"])[answers["kind"].argmax(axis=1)]
    paid = answers["price"][:, 0] + random.normal(size=700)
    np.savez(folder / "rows.npz", x=rows, y=kinds, price=paid)
    return folder


def compressed(folder, out, *options):
    code = main(
        [
            *("compress", str(folder / "model.keras"), "--data", str(folder / "rows.npz")),
            *("--rungs", "int8,float16", "--out", str(folder / out), *options),
        ]
    )
    return code, json.loads((folder / out / "report.json").read_text())


@pytest.mark.tensorflow
@pytest.mark.e2e
def test_an_output_without_a_budget_is_warned_of(folder, capsys):
    code, report = compressed(folder, "one", "--budget", "kind=2%", "--label", "kind=y")
    assert (code, report["verdict"], report["child"]["mode"]) == (0, "KEPT", "int8")
    outputs = {one["output"]: one for one in report["outputs"]}
    assert outputs["price"]["overall"] is None
    # int8 has 255 steps for a range of about 14,000.
    assert outputs["price"]["parity"]["max_difference"] > 10
    (warning,) = (note for note in report["notes"] if "output price has no budget" in note)
    assert "--budget price=DROP" in warning
    assert warning in capsys.readouterr().err
    assert "Every output" in (folder / "one" / "report.html").read_text()


@pytest.mark.tensorflow
@pytest.mark.e2e
def test_a_budget_of_a_second_output_holds_it(folder):
    code, report = compressed(
        folder,
        "both",
        *("--budget", "kind=0.02", "--label", "kind=y"),
        *("--budget", "price=3", "--metric", "price=mae"),
    )
    assert code == 0
    int8, float16 = report["rungs"]
    assert int8["status"] == "over_budget"
    assert int8["explanation"].startswith("Of its output price: It loses")
    assert float16["status"] == "chosen"
    price = next(one for one in report["outputs"] if one["output"] == "price")
    assert price["metric"]["name"] == "MeanAbsoluteError"
    assert price["overall"]["drop"]["value"] <= price["overall"]["limit"] == 3
    assert not any("has no budget" in note for note in report["notes"])


@pytest.mark.tensorflow
@pytest.mark.e2e
def test_relative_budgets_are_shares_of_each_output_s_own_metric(folder, capsys):
    # The error of the price is that of the noise, 0.8; accuracy is 1.
    code, report = compressed(
        folder,
        "relative",
        *("--budget", "kind=2%", "--label", "kind=y", "--relative"),
        *("--budget", "price=1%", "--metric", "price=mae"),
    )
    # float16 has 11 bits for some thousands: half a unit is lost, more than 1 % of the error.
    assert code == 3
    assert "0.02 of accuracy of kind and 0.008" in report["explanation"]
    assert report["settings"]["relative"] is True
    shown = capsys.readouterr().err
    assert "shares of the model's own MeanAbsoluteError, 0." in shown


def test_requests_name_outputs_or_mean_the_only_one():
    (one,) = requested_outputs([(None, 0.01)], ["a=b"], ["auc"])
    assert (one.output, one.budget, one.label, one.metric) == ("", 0.01, "a=b", "auc")
    first, second = requested_outputs(
        [("kind", 0.01), ("price", 3.0)], ["kind=y"], ["price=mae"], None
    )
    assert (first.output, first.label, first.metric) == ("kind", "y", None)
    assert (second.output, second.label, second.metric) == ("price", "price", "mae")
    (named,) = requested_outputs([(None, 0.01)], ["y"], [], "kind")
    assert (named.output, named.label) == ("kind", "y")
    with pytest.raises(ConfigError, match="Expected one --budget for each output"):
        requested_outputs([("a", 0.1), ("a", 0.2)], [], [])
    with pytest.raises(ConfigError, match="Expected --label for outputs that have a --budget"):
        requested_outputs([("a", 0.1), ("b", 0.2)], ["y"], [])


def test_budgets_are_numbers_or_percentages():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = ["m", "--data", "d", "--out", "o"]
    told = parser.parse_args([*given, "--budget", "0.5%", "--budget", "price=3"]).budget
    assert told == [(None, 0.005), ("price", 3.0)]
    with pytest.raises(SystemExit):
        parser.parse_args([*given, "--budget", "price=-1"])


def judge_of(limit, name):
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 400)
    parent = np.clip(0.2 + 0.6 * labels + 0.15 * random.normal(size=400), 0.01, 0.99)[:, None]
    budget = Budget(metric=infer_metric(labels, {"p": parent}, name), max_metric_drop=limit)
    rows = Rows(inputs={"x": np.zeros((400, 1))}, labels=labels)
    return VariantJudge(rows=rows, parent={"p": parent}, budget=budget)


@pytest.mark.parametrize("name", ["accuracy", "auc", "f1", "recall", "logloss"])
def test_a_budget_of_0_is_kept_by_the_same_answers_alone(name):
    judge = judge_of(0, name)
    assert judge.judge({"other name": judge.parent["p"].copy()}).status is RungStatus.KEPT
    moved = judge.parent["p"][::-1].copy()
    assert judge.judge({"p": moved}).status is RungStatus.OVER_BUDGET


def test_a_budget_of_a_share_stays_below_1():
    with pytest.raises(ConfigError, match=r"below 1 of AUC.*received 1\. One percentage point is"):
        check_share(judge_of(0, "auc").budget.metric, 1)
    check_share(judge_of(0, "logloss").budget.metric, 1)


def test_a_relative_budget_is_a_share_of_a_number_other_than_0():
    paths = {"model": Path("m"), "data": Path("d"), "out": Path("o")}
    request = CompressionRequest(**paths, budget=0.1, relative=True)
    labels = np.array([1.0, 2.0, 4.0])
    metric = infer_metric(labels, {"p": labels[:, None] + 0.5}, "mae")
    unit, (said,) = budget_unit(request, metric, labels, {"p": labels[:, None] + 0.5})
    assert (unit, "MeanAbsoluteError, 0.5" in said) == (pytest.approx(0.5), True)
    # Worse than the mean: R2 is below 0, and a share of it is still something that may be lost.
    worse = {"p": -labels[:, None]}
    assert budget_unit(request, infer_metric(labels, worse, "r2"), labels, worse)[0] > 0
    with pytest.raises(ConfigError, match=r"a number other than 0.*received 0"):
        budget_unit(request, metric, labels, {"p": labels[:, None]})
    with pytest.raises(ConfigError, match=r"below 1 with --relative.*received 5"):
        CompressionRequest(**paths, budget=5, relative=True)
