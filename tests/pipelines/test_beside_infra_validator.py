"""InfraValidator runs for real beside ServingPusher: its blessing lets a model through, or not.

It asks a server by TensorFlow Serving's interface; the server is `loop-model-server`, and in place
of a container it is a process (tests/helpers/container_engine.py). Kubeflow V2 has no
InfraValidator at all.
"""

import pytest
from compiled_pipeline import compile_pipeline
from container_engine import container_engine

pytestmark = pytest.mark.tensorflow

tfx = pytest.importorskip("tfx.v1", reason="needs TFX")
types = tfx.types.standard_artifacts


@tfx.dsl.components.component
def Trained(  # noqa: N802 - a node
    model: tfx.dsl.components.OutputArtifact[types.Model],
    examples: tfx.dsl.components.OutputArtifact[types.Examples],
    broken: tfx.dsl.components.Parameter[int] = 0,
):
    import many_signatures
    import tensorflow as tf
    from tfx.dsl.io import fileio

    folder = f"{model.uri}/Format-Serving"
    many_signatures.save(folder, serving_default=many_signatures.of_examples())
    if broken:
        # Whoever reads the signatures finds them; the weights are lost on the way.
        for name in fileio.glob(f"{folder}/variables/*"):
            fileio.remove(name)
    examples.split_names = '["eval"]'
    fileio.makedirs(f"{examples.uri}/Split-eval")
    with tf.io.TFRecordWriter(f"{examples.uri}/Split-eval/rows-0.gz", "GZIP") as writer:
        for row in many_signatures.rows():
            writer.write(row)


def validated(folder, engine, *, broken=0):
    """Returns a model, InfraValidator with requests of its own, and a push that waits for it."""
    from tfx_loop import ServingPusher

    trained = Trained(broken=broken)
    model, examples = trained.outputs["model"], trained.outputs["examples"]
    validator = tfx.components.InfraValidator(
        model=model,
        examples=examples,
        serving_spec=tfx.proto.ServingSpec(
            tensorflow_serving=tfx.proto.TensorFlowServing(tags=["latest"]),
            local_docker=tfx.proto.LocalDockerConfig(
                client_base_url=engine, client_api_version="1.41"
            ),
        ),
        request_spec=tfx.proto.RequestSpec(
            tensorflow_serving=tfx.proto.TensorFlowServingRequestSpec(
                signature_names=["serving_default"]
            ),
            num_examples=3,
        ),
        validation_spec=tfx.proto.ValidationSpec(max_loading_time_seconds=120, num_tries=1),
    )
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=str(folder / "houses"))
    pusher = ServingPusher(
        model=model,
        examples=examples,
        infra_blessing=validator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=filesystem),
    )
    return [trained, validator, pusher]


def run(nodes, folder):
    """Runs nodes under TFX's own runner; returns the state of each."""
    from stock_penguin import executions

    sqlite = tfx.orchestration.metadata.sqlite_metadata_connection_config
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="validated",
            pipeline_root=str(folder / "root"),
            components=nodes,
            metadata_connection_config=sqlite(str(folder / "metadata.sqlite")),
        )
    )
    return executions(folder)


@pytest.mark.parametrize("broken", [0, 1])
def test_what_a_server_could_load_and_answer_is_pushed_and_nothing_else(tmp_path, broken):
    with container_engine(tmp_path / "containers") as (engine, containers):
        states = run(validated(tmp_path, engine, broken=broken), tmp_path)
        assert {server.process.returncode for server in containers.values()} == {0}
    assert {"InfraValidator", "ServingPusher"} <= states.keys()
    assert set(states.values()) == {"COMPLETE"}
    (blessing,) = (tmp_path / "root/InfraValidator/blessing").iterdir()
    word = "INFRA_NOT_BLESSED" if broken else "INFRA_BLESSED"
    assert (blessing / word).exists()
    assert (tmp_path / "houses/deployment.json").is_file() is not bool(broken)


def test_kubeflow_v2_refuses_the_validator_as_it_does_without_our_nodes(tmp_path):
    with pytest.raises(NotImplementedError, match="InfraValidator"):
        compile_pipeline(tmp_path, validated(tmp_path, "http://127.0.0.1:1"))
