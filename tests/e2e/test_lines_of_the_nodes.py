"""The lines of docs/components.md do in a stock pipeline what the page says: each node runs."""

import pytest

from tests.benchmarks.examples.one import compiled, outcomes
from tests.benchmarks.examples.stock import EXAMPLES
from tests.benchmarks.examples.workbench import Workbench
from tfx_loop.pipelines.node_reference import page

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.timeout(1200)]


# Its endpoint is AWS's: tests/components/deployment/sagemaker_pusher runs it against a loopback.
ELSEWHERE = {"SageMakerPusher"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What became of each node in the smallest pipeline of `make examples`."""
    folder = tmp_path_factory.mktemp("lines")
    name = "untransformed"
    return {outcome.node: outcome for outcome in outcomes(name, EXAMPLES[name], folder)}


def test_each_node_is_declared_by_its_lines_in_a_stock_pipeline_and_compiles(tmp_path):
    """The short one of this file: what the lines make is not run."""
    bench = Workbench(EXAMPLES["untransformed"], tmp_path, 8501)
    EXAMPLES["untransformed"].write(tmp_path / "data")
    state, _, said = compiled(bench)
    assert (state, bench.refused) == ("ran", {}), said
    assert set(bench.declared) == set(page.examples()) - ELSEWHERE
    assert all(bench.declared.values())


# A stock pipeline and every node: two and a half minutes of one core.
@pytest.mark.long
@pytest.mark.parametrize("node", sorted(set(page.examples()) - ELSEWHERE))
def test_a_node_runs_by_the_lines_of_the_page(ran, node):
    assert ran[node].state == "ran", ran[node].said


@pytest.mark.long
def test_a_window_of_the_rows_that_were_trained_on_is_no_fault_of_data(ran):
    assert ran["DriftMonitor"].said.startswith("STABLE")
    assert ran["SkewMonitor"].said.startswith("CONSISTENT")
    assert ran["RetrainDecider"].said == "HOLD no_avoidable_loss"


@pytest.mark.long
def test_the_pipeline_compiles_for_kubeflow_with_all_of_them(ran):
    assert ran["V2"].state == "ran"
