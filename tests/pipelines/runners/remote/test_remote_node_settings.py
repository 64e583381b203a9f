"""What single nodes are given: read from a file, refused in a line, written into the spec."""

import copy

import pytest

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.pipelines.runners.remote.node_settings import apply, read_node_settings
from tfx_loop.pipelines.runners.remote.targets import Target

SPEC = {
    "deploymentSpec": {
        "executors": {
            "train": {"container": {"image": "i"}},
            "push": {"container": {"image": "i"}},
            "import": {"importer": {}},
        }
    },
    "components": {
        "comp-Trainer": {"executorLabel": "train"},
        "comp-Pusher": {"executorLabel": "push"},
        "comp-Champion": {"executorLabel": "import"},
    },
    "root": {
        "dag": {
            "tasks": {
                name: {"componentRef": {"name": f"comp-{name}"}, "cachingOptions": {}}
                for name in ("Trainer", "Pusher", "Champion")
            }
        }
    },
}


def applied(folder, text, target=Target.KUBEFLOW):
    path = folder / "nodes.toml"
    path.write_text(text)
    spec = copy.deepcopy(SPEC)
    platform = apply(spec, read_node_settings(path), target)
    return spec, platform


def test_a_node_gets_its_own_and_others_what_all_get(tmp_path):
    text = """
["*"]
cpu = 2
cache = true
[Trainer]
cpu = 8
memory = "16Gi"
accelerator = "nvidia.com/gpu"
accelerators = 2
env = { TF_NUM_INTRAOP_THREADS = "8" }
secrets = { WANDB_API_KEY = "tracking/api-key" }
cache = false
"""
    spec, platform = applied(tmp_path, text)
    executors, tasks = spec["deploymentSpec"]["executors"], spec["root"]["dag"]["tasks"]
    trainer = executors["train"]["container"]
    assert trainer["resources"] == {
        "cpuLimit": 8.0,
        "memoryLimit": 17.179869184,
        "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
    }
    assert trainer["env"] == [{"name": "TF_NUM_INTRAOP_THREADS", "value": "8"}]
    assert executors["push"]["container"]["resources"] == {"cpuLimit": 2.0}
    assert executors["import"] == {"importer": {}}
    assert tasks["Trainer"]["cachingOptions"] == {}
    assert tasks["Pusher"]["cachingOptions"] == {"enableCache": True}
    [(label, held)] = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items()
    assert label == "train"
    key = {"secretKey": "api-key", "envVar": "WANDB_API_KEY"}
    assert held == {"secretAsEnv": [{"secretName": "tracking", "keyToEnv": [key]}]}


def test_resources_are_read_by_the_services_own_message(tmp_path):
    from google.protobuf import json_format

    # It comes with kfp, under a name of its own.
    pipeline_spec_pb2 = pytest.importorskip("kfp.pipeline_spec.pipeline_spec_pb2")
    spec, _ = applied(tmp_path, '[Trainer]\ncpu = 1.5\nmemory = "500M"\naccelerator = "T4"\n')
    container = spec["deploymentSpec"]["executors"]["train"]["container"]
    kind = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec
    message = json_format.ParseDict(container, kind())
    assert (message.resources.cpu_limit, message.resources.memory_limit) == (1.5, 0.5)
    assert message.resources.accelerator.count == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Trainr]\ncpu = 1", "Did you mean 'Trainer'"),
        ("[Champion]\ncpu = 1", "which the service itself carries out"),
        ("[Trainer]\ncpus = 1", "received 'cpus'. Did you mean 'cpu'"),
        ("[Trainer]\ncpu = '1'", "Expected a number in [Trainer]"),
        ("[Trainer]\ncpu = true", "Expected a number in [Trainer]"),
        ("[Trainer]\ncpu = -1", "Expected cpu above 0"),
        ("[Trainer]\nmemory = '16 GB'", "memory such as '16G'"),
        ("[Trainer]\naccelerators = 0", "at least 1 of accelerators"),
        ("[Trainer]\nenv = { A-B = 'x' }", "a variable's name"),
        ("[Trainer]\nenv = { DB_PASSWORD = 'x' }", "Expected no secret in env, received DB_PASS"),
        ("[Trainer]\nenv = { A = 1 }", "env, A, received 1"),
        ("[Trainer]\nsecrets = { A = 'key' }", "Expected SECRET/KEY"),
        ("Trainer = 4", "tables named after nodes"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path, text, told):
    with pytest.raises(ConfigError, match=r"^Expected [^\n]*$") as refused:
        applied(tmp_path, text)
    assert told in str(refused.value)
    assert "'x'" not in str(refused.value), "no value of a secret"


def test_vertex_has_no_secrets_of_kubernetes(tmp_path):
    with pytest.raises(ConfigError, match="Secret Manager"):
        applied(tmp_path, "[Trainer]\nsecrets = { A = 'b/c' }", Target.VERTEX)


def test_file_that_is_none_is_one_line(tmp_path):
    with pytest.raises(DataError, match="Expected settings as TOML"):
        read_node_settings(tmp_path / "none.toml")
