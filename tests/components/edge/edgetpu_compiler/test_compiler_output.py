"""What the real compiler wrote is accepted for its own source, whole, and for nothing else."""

import pytest
from edgetpu_pairs import FOLDER, needs_pairs, source, twin
from hypothesis import given
from hypothesis import strategies as st

from tfx_loop.core.errors import ModelError
from tfx_loop.edge.edgetpu_compiler.toolchain.output_check import check_output

pytestmark = needs_pairs
NAMES = sorted(p.stem.removesuffix("_edgetpu") for p in FOLDER.glob("*_edgetpu.tflite"))


@pytest.mark.parametrize("name", NAMES)
def test_the_real_compiler_s_output_is_accepted(name):
    output = check_output(source(name), twin(name))
    assert output.custom_ops == len(output.summary.executables_by_subgraph) >= 1
    assert output.summary.minimum_runtime >= 10


@pytest.mark.parametrize("name", NAMES)
def test_the_source_itself_has_no_edge_tpu_operator(name):
    assert check_output(source(name), source(name)).custom_ops == 0


@pytest.mark.slow
def test_the_output_of_another_model_is_not_accepted():
    for name in NAMES:
        for other in NAMES:
            if name != other:
                with pytest.raises(ModelError, match="another model"):
                    check_output(source(name), twin(other))


@given(st.data())
def test_a_file_that_breaks_off_is_not_accepted(tmp_path_factory, data):
    whole = twin().read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.mktemp("cut") / "cut.tflite"
    path.write_bytes(whole[:cut])
    with pytest.raises(ModelError):
        check_output(source(), path)
