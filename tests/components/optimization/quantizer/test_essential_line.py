"""Of a converter's pages of log, one line says what is wrong."""

import pytest

pytestmark = pytest.mark.tensorflow

MLIR = """<unknown>:0: error: loc(callsite(callsite("a/b@c" at "d") at "e")): 'tf.Foo' op is custom
<unknown>:0: note: loc("StatefulPartitionedCall"): called from
"""
PYTHON = """Traceback (most recent call last):
  File "/somewhere/lite.py", line 1, in convert
RuntimeError: Quantization to 16x8-bit not yet supported for op: 'CUMSUM'.
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (MLIR, "'tf.Foo' op is custom."),
        (PYTHON, "RuntimeError: Quantization to 16x8-bit not yet supported for op: 'CUMSUM'."),
        (
            "error: failed while converting: 'main':\nTF Select ops: MatrixInverse\nDetails:",
            "TFLite has no operator for MatrixInverse.",
        ),
        (
            "error: failed while converting: 'main':\nCustom ops: Digamma, Betainc\nDetails:",
            "Neither TFLite nor TensorFlow's operators for it have Digamma, Betainc.",
        ),
        ("W0000 noise\nall is lost", "all is lost."),
        ("", "no message."),
        ("Error: " + "x" * 2000, "Error: " + "x" * 293 + "."),
    ],
)
def test_essential_line(log, line):
    from tfx_loop.optimization.quantizer.convert import essential_line

    assert essential_line(log) == line
