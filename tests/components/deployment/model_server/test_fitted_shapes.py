"""Shapes as clients send them, and as signatures declare them where a graph refuses the first."""

import numpy as np
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.fitted_shapes import FittedShapes
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.tensors import TensorSpec


def spec(name, *shape):
    return TensorSpec(name=name, dtype="float32", shape=shape)


COLUMN = Signature(name="s", inputs={"x": spec("x", None, 1)}, outputs={"y": spec("y", None, 1)})


class Model:
    """Remembers the shapes that it was asked in."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []

    def run(self, name, inputs):
        self.seen.append(tuple(values.shape for values in inputs.values()))
        return {"y": self.answer(*inputs.values())}


def dense(x):
    if x.ndim != 2:
        raise DataError("In[0] is not a matrix")
    return x @ np.ones((1, 1), np.float32)


FLAT = {"x": np.array([1, 2, 3], np.float32)}


def test_what_the_graph_takes_is_answered_as_it_was_sent():
    model = Model(lambda x: x / 2)
    shapes = FittedShapes({"s": COLUMN}, model.run)
    assert shapes.run("s", FLAT)["y"].shape == (3,)
    assert model.seen == [((3,),)]


def test_a_refused_list_is_asked_as_a_column_and_remembered():
    model = Model(dense)
    shapes = FittedShapes({"s": COLUMN}, model.run)
    for _ in range(2):
        assert shapes.run("s", FLAT)["y"].shape == (3, 1)
    assert model.seen == [((3,),), ((3, 1),), ((3, 1),)]


def test_an_answer_that_lost_its_rows_is_asked_again_in_the_declared_shape():
    model = Model(lambda x: x.sum(axis=-1))
    assert FittedShapes({"s": COLUMN}, model.run).run("s", FLAT)["y"].tolist() == [1, 2, 3]


def test_columns_of_both_kinds_are_not_added_up_to_a_table():
    both = Signature(
        name="s",
        inputs={"a": spec("a", None, 1), "b": spec("b", None, 1)},
        outputs={"y": spec("y", None, 1)},
    )
    model = Model(lambda a, b: a + b)
    sent = {"a": FLAT["x"], "b": FLAT["x"][:, np.newaxis]}
    assert FittedShapes({"s": both}, model.run).run("s", sent)["y"].shape == (3, 1)


def test_the_first_refusal_is_told_where_both_shapes_are_refused():
    def refuse(x):
        raise DataError(f"rank {x.ndim}")

    with pytest.raises(DataError, match="rank 1"):
        FittedShapes({"s": COLUMN}, Model(refuse).run).run("s", FLAT)
