"""Few layers stay in float, and the right ones."""

from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.optimization.quantizer.mixed_precision import find_float_layers, sensitivities

LAYERS = [f"layer{i}" for i in range(20)]


def model(bad, harm=1.0):
    """A model in which int8 hurts some layers only: error and verdict of a set of float layers."""

    def error_with(floats):
        return sum(harm for name in bad if name not in floats) + 0.01 * (20 - len(floats))

    def keeps(floats):
        return set(bad) <= set(floats)

    return error_with, keeps


@given(st.sets(st.sampled_from(LAYERS), min_size=1, max_size=6))
def test_exactly_the_layers_that_hurt_stay_in_float(bad):
    found = find_float_layers(LAYERS, *model(bad))
    assert found.names == tuple(name for name in LAYERS if name in bad)


def test_writer_and_reader_of_a_wide_tensor_are_found_together():
    """Leaving only one of the two in float changes nothing."""

    def keeps(floats):
        return {"layer4", "layer5"} <= floats

    def error_with(floats):
        return 1.0 if not keeps(floats) else 0.0

    assert find_float_layers(LAYERS, error_with, keeps).names == ("layer4", "layer5")


def test_layer_that_looks_bad_and_is_not_goes_back_to_int8():
    def error_with(floats):
        return 5.0 * ("layer9" not in floats) + 1.0 * ("layer3" not in floats)

    found = find_float_layers(LAYERS, error_with, lambda floats: "layer3" in floats)
    assert found.names == ("layer3",)


def test_hopeless_model_says_so_after_one_try():
    found = find_float_layers(LAYERS, lambda floats: 1.0, lambda floats: False)
    assert (found.names, found.tried) == (None, 1)


def test_many_layers_are_probed_in_groups():
    layers = [f"layer{i:03}" for i in range(400)]
    bad = {"layer123", "layer124", "layer300"}
    calls = []

    def error_with(floats):
        calls.append(floats)
        return sum(name not in floats for name in bad)

    errors = sensitivities(layers, error_with, max_probes=64)
    assert len(calls) <= 64
    assert sorted(layers, key=lambda name: -errors[name])[:3] == sorted(bad)
    assert set(errors) == set(layers)


def test_search_is_short():
    error_with, keeps = model({"layer7", "layer8", "layer9"})
    asked = []

    def counted(floats):
        asked.append(floats)
        return keeps(floats)

    find_float_layers(LAYERS, error_with, counted)
    assert len(asked) <= 10
