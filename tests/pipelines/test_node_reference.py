"""docs/components.md is what the nodes declare, and its examples compile as they stand."""

import subprocess
import sys
import typing

import pytest
import time_limits
from compiled_pipeline import compile_pipeline
from documents import COMPONENTS, ROOT

import tfx_loop
from tfx_loop.core import settings
from tfx_loop.pipelines.node_reference import page, stub

pytestmark = pytest.mark.tensorflow


def test_the_page_is_what_the_nodes_declare():
    assert page.render() == COMPONENTS, "Run `make docs-components`."


def test_editors_read_what_the_nodes_declare():
    written = (ROOT / "components/__init__.pyi").read_text()
    assert stub.render() == written, "Run `make docs-components`."


def test_type_checkers_know_the_settings(tmp_path):
    (tmp_path / "pipeline.py").write_text(
        "from typing import Any\n"
        "from tfx_loop import DriftMonitor\n"
        "log: Any = None\n"
        "DriftMonitor(prediction_log=log, reference_profile=log, fault_settings={'late': 1})\n"
        "DriftMonitor(prediction_log=log, reference_profile=log, windw='2013')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", tmp_path / "pipeline.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=time_limits.seconds(120),
        check=False,
    )
    (error,) = [line for line in done.stdout.splitlines() if " error: " in line]
    assert 'pipeline.py:5: error: Unexpected keyword argument "windw" for "DriftMonitor"' in error


def test_the_page_has_every_node_and_every_artifact():
    named = {name for names in page.THEMES.values() for name in names}
    assert named | set(page.ARTIFACTS) | {"Variant"} == set(tfx_loop._HOMES)


@pytest.mark.parametrize("name", [name for names in page.THEMES.values() for name in names])
def test_the_defaults_of_every_node_survive_their_way_to_the_executor(name):
    node = getattr(tfx_loop, name)
    stand_ins = {str: "1", int: 1, tuple: ["a"]}
    given = {
        field: stand_ins[typing.get_origin(kind) or kind]
        for field, kind in settings.field_types(node.SETTINGS).items()
        if field not in settings.defaults(node.SETTINGS)
    }
    if name == "ServingPusher":
        given |= {"server_url": "http://127.0.0.1:8501", "base_path": "/srv/taxi"}
    if name == "SageMakerPusher":
        given |= {
            "base_path": "s3://models/taxi",
            "endpoint": "taxi",
            "region": "eu-west-1",
            "instance_type": "ml.m5.large",
            "image": "taxi:1",
            "role_arn": "arn:aws:iam::123456789012:role/inference",
        }
    made = node.SETTINGS.of(given)
    properties = made.to_properties()
    types = {name: parameter.type for name, parameter in node.SPEC_CLASS.PARAMETERS.items()}
    assert {field: type(value) for field, value in properties.items()}.items() <= types.items()
    assert node.SETTINGS.from_properties(properties) == made


@pytest.fixture(scope="module")
def stock():
    """The nodes of TFX that the examples refer to, by the names that they use."""
    from tfx import v1 as tfx
    from tfx.proto import transform_pb2

    config = {
        "model_specs": [{"label_key": "tips", "prediction_key": "probability"}],
        "metrics_specs": [{"metrics": [{"class_name": "AUC"}]}],
    }
    eval_config = eval_config_of(config)
    example_gen = tfx.components.CsvExampleGen(input_base="/srv/csv")
    examples = example_gen.outputs["examples"]
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs["statistics"])
    transform = tfx.components.Transform(
        examples=examples,
        schema=schema_gen.outputs["schema"],
        preprocessing_fn="my_package.features.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
    )
    trainer = tfx.components.Trainer(
        run_fn="my_package.model.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=tfx.proto.TrainArgs(num_steps=1),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
    )
    evaluator = tfx.components.Evaluator(
        examples=examples, model=trainer.outputs["model"], eval_config=eval_config
    )
    return {
        "example_gen": example_gen,
        "statistics_gen": statistics_gen,
        "schema_gen": schema_gen,
        "transform": transform,
        "trainer": trainer,
        "evaluator": evaluator,
        "eval_config": eval_config,
        "served_config": eval_config,
        "start_ms": 1_362_096_000_000,
        "end_ms": 1_364_774_400_000,
        **{name: getattr(tfx_loop, name) for name in tfx_loop.__all__},
    }


def eval_config_of(content):
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    return json_format.ParseDict(content, config_pb2.EvalConfig())


@pytest.mark.parametrize(("name", "lines"), page.examples().items())
def test_a_node_takes_five_lines(name, lines):
    assert len(lines.splitlines()) <= 5, name


def test_the_examples_compile_for_kubeflow_in_the_order_of_the_page(stock, tmp_path):
    from tfx.dsl.components.base import base_node

    names, nodes = dict(stock), []
    for example in page.examples().values():
        exec(example, names)  # noqa: S102
    for value in [*stock.values(), *names.values()]:
        if isinstance(value, base_node.BaseNode) and value not in nodes:
            nodes.append(value)
    tasks = compile_pipeline(tmp_path, nodes)["root"]["dag"]["tasks"]
    assert set(page.examples()) <= set(tasks)
