"""The lines of docs/components.md do in a stock pipeline what the page says: each node runs."""

import pytest

from tests.benchmarks.examples.one import outcomes
from tests.benchmarks.examples.stock import EXAMPLES
from tfx_loop.pipelines.node_reference import page

# A stock pipeline and every node: two and a half minutes of one core.
pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.timeout(1200)]


# Its endpoint is AWS's: tests/components/deployment/sagemaker_pusher runs it against a loopback.
ELSEWHERE = {"SageMakerPusher"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What became of each node in the smallest pipeline of `make examples`."""
    folder = tmp_path_factory.mktemp("lines")
    name = "untransformed"
    return {outcome.node: outcome for outcome in outcomes(name, EXAMPLES[name], folder)}


@pytest.mark.parametrize("node", sorted(set(page.examples()) - ELSEWHERE))
def test_a_node_runs_by_the_lines_of_the_page(ran, node):
    assert ran[node].state == "ran", ran[node].said


def test_a_window_of_the_rows_that_were_trained_on_is_no_fault_of_data(ran):
    assert ran["DriftMonitor"].said.startswith("STABLE")
    assert ran["SkewMonitor"].said.startswith("CONSISTENT")
    assert ran["RetrainDecider"].said == "HOLD no_avoidable_loss"


def test_the_pipeline_compiles_for_kubeflow_with_all_of_them(ran):
    assert ran["V2"].state == "ran"
