"""Memory that a .tflite graph takes, by the rules of a runtime and not by the file's shapes."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tables
from ai_edge_litert.interpreter import Interpreter
from tflite_builder import TfliteBuilder

from tfx_loop.models.guard.tflite_sizes import computed_bytes
from tfx_loop.models.tflite.reading import read_model

F = "FLOAT32"


def options(kind, **values):
    made = getattr(tables, f"{kind}OptionsT")()
    for name, value in values.items():
        setattr(made, name, value)
    return made


# Operator, shape of its first input, its further inputs (constants, or shapes of floats), options.
GROWING = [
    ("TILE", (1, 4), [[3, 5]], None),
    ("PAD", (2, 3), [[[1, 2], [3, 4]]], None),
    ("MIRROR_PAD", (4, 4), [[[1, 2], [3, 1]]], options("MirrorPad")),
    ("BROADCAST_TO", (1, 4), [[7, 3, 4]], None),
    ("SPACE_TO_BATCH_ND", (1, 2, 2, 1), [[2, 2], [[2, 0], [0, 4]]], None),
    ("RESIZE_BILINEAR", (1, 2, 2, 3), [[5, 9]], options("ResizeBilinear")),
    ("ADD", (1, 8, 1), [np.zeros((6, 1, 9), np.float32)], options("Add")),
    ("BATCH_MATMUL", (2, 3, 7), [np.zeros((7, 5), np.float32)], options("BatchMatMul")),
    ("BATCH_MATMUL", (2, 7, 3), [np.zeros((7, 5), np.float32)], options("BatchMatMul", adjX=True)),
    ("BATCH_MATMUL", (3, 7), [np.zeros((5, 7), np.float32)], options("BatchMatMul", adjY=True)),
    ("GATHER", (2, 3), [[[0, 1, 2, 0], [0, 1, 1, 1]]], options("Gather", axis=1)),
    ("GATHER", (2, 3), [[[0, 1, 2, 0], [0, 1, 1, 1]]], options("Gather", axis=1, batchDims=1)),
    ("CONCATENATION", (1, 4), [np.zeros((1, 9), np.float32)], options("Concatenation", axis=1)),
]


def graph_of(operator, shape, others, given, said):
    """Returns a model of one operator whose output is said to have a shape."""
    builder = TfliteBuilder()
    inputs = [builder.input(shape, F)]
    for each in others:
        dtype = np.float32 if isinstance(each, np.ndarray) else np.int32
        inputs.append(builder.constant(each, dtype))
    output = builder.tensor(said, F)
    builder.op(operator, inputs, output, options=given)
    if operator == "BROADCAST_TO":
        builder.model.operatorCodes[0].version = 2
    return builder.content(output)


def runtime_shape(content):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    return tuple(interpreter.get_output_details()[0]["shape"])


@pytest.mark.parametrize(("operator", "shape", "others", "given"), GROWING)
def test_size_is_the_runtime_s_whatever_the_file_says(operator, shape, others, given):
    content = graph_of(operator, shape, others, given, (1,))
    made = runtime_shape(content)
    expected = 4 * (np.prod(shape) + np.prod(made))
    assert computed_bytes(read_model(content).main)[0] == expected
    # A converter's file says the same itself, and nothing grows.
    honest = read_model(graph_of(operator, shape, others, given, made)).main
    assert computed_bytes(honest)[0] == expected


@pytest.mark.parametrize(
    ("operator", "constants", "elements"),
    [
        ("FILL", [np.array([6, 7], np.int32), np.float32(1)], 42),
        ("RANGE", [np.float32(1), np.float32(10), np.float32(2)], 5),
        ("RANGE", [np.float32(1), np.float32(10), np.float32(0)], 1),
    ],
)
def test_size_of_what_constants_alone_make(operator, constants, elements):
    builder = TfliteBuilder()
    inputs = [builder.constant(each, each.dtype) for each in constants]
    output = builder.tensor((1,), F)
    builder.op(operator, inputs, output)
    assert computed_bytes(read_model(builder.content(output)).main)[0] == 4 * elements


def test_what_grew_stays_grown_in_what_is_made_of_it():
    builder = TfliteBuilder()
    grown, multiples = builder.input((1, 4), F), builder.constant([1, 1000])
    for _ in range(2):
        tiled, passed = builder.tensor((1, 4), F), builder.tensor((1, 4), F)
        builder.op("TILE", [grown, multiples], tiled)
        builder.op("RELU", [tiled], passed)
        grown = passed
    size, largest = computed_bytes(read_model(builder.content(grown)).main)
    assert size == 16 * (1 + 2 * 1_000 + 2 * 1_000_000)
    assert largest == 3


def test_reductions_grow_nothing():
    builder = TfliteBuilder()
    given, axis = builder.input((1, 7, 7, 8), F), builder.constant([1])
    output = builder.tensor((1, 7, 8), F)
    builder.op("MEAN", [given, axis], output, options=options("Reducer"))
    assert computed_bytes(read_model(builder.content(output)).main)[0] == 4 * (7 * 7 * 8 + 7 * 8)


def test_a_long_chain_takes_no_time():
    builder = TfliteBuilder()
    grown, multiples = builder.input((1, 4), F), builder.constant([1, 1 << 30])
    for _ in range(2_000):
        tiled = builder.tensor((1, 4), F)
        builder.op("TILE", [grown, multiples], tiled)
        grown = tiled
    size, _ = computed_bytes(read_model(builder.content(grown)).main)
    assert size < 1 << 80
