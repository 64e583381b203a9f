"""A trained model that int8 breaks is rescued by a few layers in float, and they are named.

Wide-ranged activations, as reported in tensorflow#58633 and #60903: a concatenation has one scale
for all that it joins, and the trained network needs both the narrow and the wide part.
"""

import pytest
from time_limits import seconds

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e]

BUDGET = 0.005


@pytest.fixture(scope="module")
def rescued(tmp_path_factory):
    import quantizable

    from tfx_loop.core.child_process.worker import Worker
    from tfx_loop.models.formats import detect
    from tfx_loop.models.inference import outputs_of
    from tfx_loop.models.rows.splits import split
    from tfx_loop.optimization.quantizer.modes import QuantizationMode
    from tfx_loop.optimization.quantizer.request import SearchRequest
    from tfx_loop.optimization.quantizer.search import search
    from tfx_loop.optimization.quantizer.settings import SearchSettings

    folder = tmp_path_factory.mktemp("wide")
    images, labels = quantizable.digits()
    network = quantizable.train(quantizable.wide_network(), images[:700], labels[:700], 25)
    network.save(folder / "wide.keras")
    parts = split(quantizable.rows_of(images[700:], labels[700:]), seed=0)
    modes = (
        QuantizationMode.INT8,
        QuantizationMode.SELECTIVE_INT8,
        QuantizationMode.DYNAMIC_RANGE,
        QuantizationMode.FLOAT16,
        QuantizationMode.FLOAT,
    )
    with Worker(timeout_seconds=seconds(300)) as worker:
        request = SearchRequest(
            source=detect(folder / "wide.keras"),
            calibration=parts.calibration,
            choosing=parts.choosing,
            budget=quantizable.budget_of(BUDGET),
            search=SearchSettings(modes=modes),
        )
        result = search(request, worker, folder / "out" / "model.tflite")
        unseen = parts.reporting
        right = [
            (next(iter(answers.values())).argmax(axis=1) == unseen.labels).mean()
            for answers in (
                outputs_of(worker, str(path), unseen.inputs)
                for path in (folder / "wide.keras", result.path)
            )
        ]
    return {rung.mode: rung for rung in result.rungs}, result, right


def test_plain_int8_and_dynamic_range_lose_most_of_it(rescued):
    rungs, _, (parent, _) = rescued
    assert parent > 0.95
    assert rungs["int8"].drop.value > 0.5
    assert rungs["dynamic_range"].drop.value > 0.5


def test_few_layers_in_float_keep_the_budget(rescued):
    rungs, result, (parent, child) = rescued
    assert result.chosen is rungs["selective_int8"]
    assert result.chosen.drop.high <= BUDGET
    assert parent - child <= BUDGET  # on rows that the search never saw
    assert result.chosen.size.raw_bytes < 0.4 * rungs["float"].size.raw_bytes
    assert result.chosen.size.raw_bytes < 0.7 * rungs["float16"].size.raw_bytes


def test_the_layers_are_those_at_the_join_and_are_named(rescued):
    _, result, _ = rescued
    assert "join (concatenation)" in result.chosen.float_layers
    assert len(result.chosen.float_layers) <= 3
    errors = result.chosen.layer_errors
    worst = sorted(errors, key=errors.get)[-len(result.chosen.float_layers) :]
    assert set(result.chosen.float_layers) <= set(worst)
    others = [error for name, error in errors.items() if name not in worst]
    assert min(errors[name] for name in worst) > 10 * max(others)


def test_the_file_s_weights_are_of_the_layers_that_the_search_named(rescued):
    """So a layer that stays in float has its mark in the report, whatever its tensors are named."""
    from tfx_loop.models.weights import weights_of

    _, result, _ = rescued
    weights = weights_of(result.path)
    assert {weight.layer for weight in weights} <= set(result.chosen.layer_errors)
    in_float = {weight.layer for weight in weights if weight.dtype == "float32"}
    assert in_float
    assert in_float <= set(result.chosen.float_layers)
