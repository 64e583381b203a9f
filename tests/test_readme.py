"""Do README and docs name all that a user can reach: components, make targets, commands, flags?"""

import argparse
import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest
from readme import COMPONENTS, MODEL_SERVER, TEXT, fences, section

import tfx_loop
from tfx_loop.deployment.model_server import flags
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.control.settings import LoopSettings

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = {
    "DriftReport",
    "EdgeTpuReport",
    "OptimizationReport",
    "PredictionLog",
    "ReferenceProfile",
    "RetrainDecision",
    "SkewReport",
}


def parameters_of(component: str) -> set[str]:
    return set(inspect.signature(getattr(tfx_loop, component)).parameters)


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", text))


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    found = {option for action in parser._actions for option in action.option_strings}
    return {option for option in found if option.startswith("--")} - {"--help"}


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


@pytest.mark.tensorflow
@pytest.mark.parametrize("component", sorted(set(tfx_loop.__all__) - ARTIFACTS - {"Variant"}))
def test_every_component_stands_with_every_setting(component):
    part = rf"^### {component}\n(.*?)(?=^### |\Z)"
    found = re.search(part, COMPONENTS, re.MULTILINE | re.DOTALL)
    assert found, f"docs/components.md has no part about {component}"
    assert parameters_of(component) <= words(found[1])


def test_the_artifacts_are_named():
    assert set(tfx_loop.__all__) >= ARTIFACTS
    assert words(COMPONENTS) >= ARTIFACTS


def test_every_make_target_named_is_there():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_command_and_its_options_stand_in_the_readme():
    text = section("The command line")
    for name, command in commands_of(main._parser()).items():
        assert f"`loop {name}" in text
        for option in options_of(command):
            assert option in text, f"loop {name} {option}"


def test_every_flag_of_the_server_stands_in_its_table():
    rows = re.findall(r"^\| `(--\w+)` \|", MODEL_SERVER, re.MULTILINE)
    assert set(rows) == options_of(flags._parser())


def shown_defaults(text: str) -> dict[str, str]:
    row = re.compile(r"^\| `(?:--)?(\w+)` \|\s*`?([^|`]*?)`?\s*\|", re.MULTILINE)
    return dict(row.findall(text))


def test_the_server_flags_have_the_defaults_that_are_shown():
    for action in flags._parser()._actions:
        if action.dest in (shown := shown_defaults(MODEL_SERVER)):
            default = "" if action.default is None else str(action.default)
            assert shown[action.dest] == default.removesuffix(".0"), action.dest


def test_every_setting_of_the_loop_stands_with_its_default():
    shown = shown_defaults(section("The loop"))
    for field in dataclasses.fields(LoopSettings):
        default = "" if field.default is dataclasses.MISSING else field.default
        assert shown[field.name] == str(getattr(default, "value", default))


def test_every_file_that_is_linked_is_there():
    links = set(re.findall(r"\]\(([^)#:]+)\)", TEXT))
    assert len(links) >= 4
    assert [link for link in sorted(links) if not (ROOT / link).exists()] == []


def test_the_python_blocks_are_short_enough_to_be_read():
    for block in fences(TEXT, "python"):
        ast.parse(block)
        assert len(block.splitlines()) <= 50
