"""Our nodes beside what stock pipelines have: conditions, exit handlers, a stock Pusher.

InfraValidator runs in test_beside_infra_validator.py, a Tuner in test_stock_penguin.py,
BulkInferrer in test_inference_result.py.
"""

import time

import pytest

pytestmark = pytest.mark.tensorflow

tfx = pytest.importorskip("tfx.v1", reason="needs TFX")
decorators = pytest.importorskip("tfx.orchestration.kubeflow.decorators")
types = tfx.types.standard_artifacts


@tfx.dsl.components.component
def Trained(  # noqa: N802 - a node
    model: tfx.dsl.components.OutputArtifact[types.Model],
):
    import many_signatures

    many_signatures.save(f"{model.uri}/Format-Serving", serving_default=many_signatures.of_rows())


@decorators.exit_handler
def Told(  # noqa: N802 - a node
    status: tfx.dsl.components.Parameter[str],
):
    print(status)


@pytest.fixture
def run(tmp_path):
    """Runs nodes under TFX's own runner; returns the states of their last executions."""
    from stock_penguin import executions

    def runs(nodes, **options):
        sqlite = tfx.orchestration.metadata.sqlite_metadata_connection_config
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="beside",
                pipeline_root=str(tmp_path / "root"),
                components=nodes,
                metadata_connection_config=sqlite(str(tmp_path / "metadata.sqlite")),
                **options,
            )
        )
        return executions(tmp_path)

    return runs


def destination(folder):
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=str(folder))
    return tfx.proto.PushDestination(filesystem=filesystem)


def test_a_stock_pusher_and_ours_push_to_one_folder(run, tmp_path):
    """Versions are named by the time in both; none is written over, and ours records its own."""
    from tfx_loop import ServingPusher
    from tfx_loop.contracts.deployment_record import read_record

    trained, folder = Trained(), tmp_path / "houses"
    model = trained.outputs["model"]
    stock = tfx.components.Pusher(model=model, push_destination=destination(folder))
    ours = ServingPusher(model=model, push_destination=destination(folder))
    ours.add_upstream_node(stock)
    states = run([trained, stock, ours])
    assert set(states.values()) == {"COMPLETE"}
    versions = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    assert len(versions) == 2
    assert abs(versions[0] - time.time()) < 600
    assert read_record(str(folder), "houses").stable.version == versions[1]


def test_condition_on_a_report_s_property_gates_stock_nodes_and_ours(run, tmp_path):
    from tfx_loop import ServingPusher

    trained = Trained()
    model = trained.outputs["model"]
    first = ServingPusher(model=model, push_destination=destination(tmp_path / "first"))
    pushed = first.outputs["pushed_model"].future()[0].custom_property("pushed")
    with tfx.dsl.Cond(pushed == 1):
        second = ServingPusher(
            model=model, push_destination=destination(tmp_path / "second")
        ).with_id("second")
    with tfx.dsl.Cond(pushed == 0):
        third = tfx.components.Pusher(
            model=model, push_destination=destination(tmp_path / "third")
        ).with_id("third")
    run([trained, first, second, third])
    assert (tmp_path / "second" / "deployment.json").is_file()
    assert not (tmp_path / "third").exists()


def test_runtime_parameters_and_an_exit_handler_compile_beside_our_nodes(tmp_path):
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as v2

    from tfx_loop import DriftMonitor, PredictionLogGen

    log = PredictionLogGen(
        log_dir="/srv/log",
        model_name="taxi",
        window=tfx.dsl.experimental.RuntimeParameter("window", str, "2013-03"),
        start_ms=0,
        end_ms=tfx.dsl.experimental.RuntimeParameter("end_ms", str, "1"),
    )
    profile = tfx.dsl.Importer(
        source_uri="/srv/profile", artifact_type=DriftMonitor.INPUTS["reference_profile"].type
    ).with_id("profile")
    drift = DriftMonitor(
        prediction_log=log.outputs["prediction_log"], reference_profile=profile.outputs["result"]
    )
    runner = v2.KubeflowV2DagRunner(
        config=v2.KubeflowV2DagRunnerConfig(), output_filename=str(tmp_path / "spec.json")
    )
    runner.set_exit_handler(Told(status=decorators.FinalStatusStr()))
    spec = runner.run(
        tfx.dsl.Pipeline(
            pipeline_name="told", pipeline_root="gs://b/root", components=[log, profile, drift]
        ),
        write_out=True,
    )["pipelineSpec"]
    assert {"window", "end_ms"} <= set(spec["root"]["inputDefinitions"]["parameters"])
    assert {"DriftMonitor", "PredictionLogGen", "Told"} <= {
        *spec["root"]["dag"]["tasks"],
        *spec["components"],
    }
