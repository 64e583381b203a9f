"""Tensors of gRPC's messages beside TensorFlow's own reading of them."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.grpc_tensors import fill_proto, to_array

pytestmark = pytest.mark.tensorflow

TYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
         "uint64", "bool", "float16", "string"]  # fmt: skip
SHAPES = [(), (0,), (1,), (3,), (2, 2), (1, 0, 2)]


def some(kind, shape):
    size = int(np.prod(shape))
    if kind == "string":
        return np.array([b"a", b"", b"\xff"] * 2, dtype=object)[:size].reshape(shape)
    return np.arange(size).astype(kind).reshape(shape)


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", TYPES)
def test_what_is_written_is_read_as_tensorflow_reads_it(kind, shape, as_bytes):
    proto = tensor_pb2.TensorProto()
    fill_proto(proto, some(kind, shape), as_bytes=as_bytes)
    # TensorFlow reads a scalar without a shape as one; so it is written.
    wanted = np.asarray(tf.make_ndarray(proto))
    got = to_array("x", proto)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    assert got.tolist() == wanted.tolist()
    assert got.flags.writeable or got.size == 0


@given(
    kind=st.sampled_from([1, 2, 3, 9, 10, 22, 23]),
    shape=st.lists(st.integers(0, 3), max_size=3),
    values=st.lists(st.integers(0, 1), max_size=6),
    content=st.binary(max_size=9),
)
def test_any_message_is_read_as_tensorflow_reads_it_or_is_a_data_error(
    kind, shape, values, content
):
    proto = tensor_pb2.TensorProto(dtype=kind, tensor_content=content)
    for size in shape:
        proto.tensor_shape.dim.add().size = size
    for field in ("float_val", "double_val", "int_val", "int64_val", "bool_val"):
        getattr(proto, field).extend(values)
    try:
        wanted = np.asarray(tf.make_ndarray(proto)).tolist()
    except (TypeError, ValueError):
        with pytest.raises(DataError, match="no valid tensor"):
            to_array("x", proto)
    else:
        assert np.array_equal(to_array("x", proto).tolist(), wanted, equal_nan=True)
