"""Each rule of remote services, broken in a spec that keeps all others."""

import copy

import pytest

from tfx_loop.pipelines.runners.remote.spec_check import SpecCheck
from tfx_loop.pipelines.runners.remote.spec_rules import breaches
from tfx_loop.pipelines.runners.remote.targets import Target

IMAGE = "registry.example/loop@sha256:" + "0" * 64
MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}


def artifacts(kind=MODEL):
    return {"artifacts": {"model": {"artifactType": copy.deepcopy(kind)}}}


@pytest.fixture
def spec():
    """A spec of an importer and a trainer, in the form that TFX's compiler writes."""
    return {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "flights-training"},
        "root": {
            "dag": {
                "tasks": {
                    "ModelImporter": {
                        "componentRef": {"name": "ModelImporter"},
                        "inputs": {
                            "parameters": {
                                "artifact_uri": {"runtimeValue": {"constant": "gs://bucket/m"}}
                            }
                        },
                    },
                    "Trainer": {
                        "componentRef": {"name": "Trainer"},
                        "inputs": {
                            "parameters": {
                                "run_fn": {"runtimeValue": {"constant": "mine.train.run_fn"}},
                                "settings": {
                                    "runtimeValue": {"constant": '{"data": "gs://bucket/d"}'}
                                },
                            }
                        },
                    },
                }
            }
        },
        "components": {
            "ModelImporter": {
                "executorLabel": "ModelImporter_executor",
                "outputDefinitions": artifacts(),
            },
            "Trainer": {
                "executorLabel": "Trainer_executor",
                "inputDefinitions": {
                    **artifacts(),
                    "parameters": {"run_fn": {"parameterType": "STRING"}},
                },
                "outputDefinitions": artifacts(),
            },
        },
        "deploymentSpec": {
            "executors": {
                "ModelImporter_executor": {
                    "importer": {"artifactUri": {"constant": "gs://bucket/m"}, "typeSchema": MODEL}
                },
                "Trainer_executor": {
                    "container": {"image": IMAGE, "args": ["--runner=DirectRunner"]}
                },
            }
        },
    }


def found(spec, target=Target.KUBEFLOW, root="gs://bucket/root", **settings):
    check = SpecCheck(spec=spec, target=target, root=root, this_host="laptop", **settings)
    return [(breach.rule, breach.place) for breach in breaches(check)]


@pytest.mark.parametrize("target", Target)
def test_spec_that_keeps_all_rules_has_no_breach(spec, target):
    assert found(spec, target) == []


def parameter(spec, name, value):
    parameters = spec["root"]["dag"]["tasks"]["Trainer"]["inputs"]["parameters"]
    parameters[name] = {"runtimeValue": {"constant": value}}


def rename(spec, old, new):
    tasks = spec["root"]["dag"]["tasks"]
    tasks[new] = tasks.pop(old)


def executor(spec, name):
    return spec["deploymentSpec"]["executors"][f"{name}_executor"]


def import_from(uri):
    return lambda spec: executor(spec, "ModelImporter")["importer"].update(
        artifactUri={"constant": uri}
    )


def output_type(text):
    return lambda spec: spec["components"]["Trainer"]["outputDefinitions"]["artifacts"][
        "model"
    ].update(artifactType={"instanceSchema": text})


def resolve(title):
    query = {"filter": f'schema_title="{title}" AND state=LIVE'}
    return lambda spec: spec["deploymentSpec"]["executors"].update(
        ModelImporter_executor={"resolver": {"outputArtifactQueries": {"model": query}}}
    )


CASES = [
    (lambda s: s["pipelineInfo"].update(name="My Pipeline"), "pipeline-name", ""),
    (lambda s: s["pipelineInfo"].update(name="a" * 129), "pipeline-name", ""),
    (lambda s: s.update(schemaVersion="2.0.0"), "spec-version", ""),
    (lambda s: rename(s, "Trainer", "Trainer.float"), "node-id", "Trainer.float"),
    (lambda s: rename(s, "Trainer", "-Trainer"), "node-id", "-Trainer"),
    (import_from("/home/me/schema"), "importer-scheme", "ModelImporter"),
    (import_from("file:///home/me/schema"), "importer-scheme", "ModelImporter"),
    (import_from("hdfs://names/schema"), "importer-scheme", "ModelImporter"),
    (resolve("tfx.Model"), "resolver", "ModelImporter"),
    (output_type("title: tfx.Artifact\ntype: object\n"), "type-title", "Trainer.model"),
    (output_type("[no yaml"), "type-title", "Trainer.model"),
    (
        output_type("title: mine.Model\nproperties:\n  tags:\n    type: array\n"),
        "type-properties",
        "Trainer.model",
    ),
    (
        lambda s: s["components"]["Trainer"]["inputDefinitions"]["parameters"].update(
            run_fn={"parameterType": "BOOLEAN"}
        ),
        "parameter-type",
        "Trainer.run_fn",
    ),
    (lambda s: parameter(s, "rate", float("nan")), "number", "Trainer.rate"),
    (lambda s: parameter(s, "module_file", "train.py"), "module-file", "Trainer.module_file"),
    (
        lambda s: parameter(s, "module_path", "train@/tmp/wheels/train-1.whl"),
        "module-file",
        "Trainer.module_path",
    ),
    (lambda s: parameter(s, "vocabulary", "/home/me/words"), "local-path", "Trainer.vocabulary"),
    (lambda s: parameter(s, "vocabulary", r"C:\words"), "local-path", "Trainer.vocabulary"),
    (
        lambda s: parameter(s, "settings", '{"a": [{"words": "/home/me/words"}]}'),
        "local-path",
        "Trainer.settings",
    ),
    (
        lambda s: executor(s, "Trainer")["container"]["args"].append("--temp_location=/tmp/beam"),
        "local-path",
        "Trainer.--temp_location",
    ),
    (
        lambda s: parameter(s, "server_url", "http://localhost:8501"),
        "loopback-url",
        "Trainer.server_url",
    ),
    (
        lambda s: parameter(s, "server_url", "https://127.8.0.1/v1"),
        "loopback-url",
        "Trainer.server_url",
    ),
    (lambda s: parameter(s, "server_url", "[::1]:8500"), "loopback-url", "Trainer.server_url"),
    (lambda s: parameter(s, "server_url", "laptop:8500"), "loopback-url", "Trainer.server_url"),
    (
        lambda s: executor(s, "Trainer")["container"].update(image="registry.example/loop:1.2"),
        "image-digest",
        "Trainer",
    ),
]


@pytest.mark.parametrize(("change", "rule", "place"), CASES)
def test_breach_is_told_with_rule_and_place(spec, change, rule, place):
    change(spec)
    assert found(spec) == [(rule, place)]


def test_sentence_tells_rule_place_what_was_found_and_the_remedy(spec):
    parameter(spec, "vocabulary", "/home/me/words")
    [breach] = breaches(SpecCheck(spec=spec, target=Target.VERTEX, root="gs://bucket/root"))
    assert breach.sentence == (
        "local-path: Trainer.vocabulary has the path '/home/me/words'. "
        "Name a URI of a bucket; with --mount FOLDER, where every container has it."
    )


def test_vertex_reads_google_cloud_storage_alone(spec):
    import_from("s3://bucket/m")(spec)
    assert found(spec, Target.KUBEFLOW) == []
    assert found(spec, Target.VERTEX) == [("importer-scheme", "ModelImporter")]


@pytest.mark.parametrize("root", ["/data/root", "", "file:///data"])
def test_root_is_a_bucket(spec, root):
    assert found(spec, root=root) == [("pipeline-root", "")]


def test_vertex_resolves_known_types(spec):
    resolve("tfx.Model")(spec)
    assert found(spec, Target.VERTEX) == []
    resolve("tfx.Artifact")(spec)
    assert found(spec, Target.VERTEX) == [("resolver", "ModelImporter")]


def test_ids_that_differ_in_capitals_are_one_to_kubernetes(spec):
    rename(spec, "ModelImporter", "TRAINER")
    assert found(spec) == [("node-id", "Trainer"), ("node-id", "TRAINER")]


def test_path_below_a_mount_is_known_to_every_container(spec):
    parameter(spec, "labels", "/labels/2013")
    assert found(spec, mounts=["/labels"]) == []
    parameter(spec, "labels", "/labelsof/2013")
    assert found(spec, mounts=["/labels"]) == [("local-path", "Trainer.labels")]


@pytest.mark.parametrize("text", ["a/b", "5/6", "/", "", "10:30", "hh:mm:ss", "http://server:8501"])
def test_plain_text_is_no_path_and_no_address_of_this_machine(spec, text):
    parameter(spec, "text", text)
    assert found(spec) == []
