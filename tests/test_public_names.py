"""The names of the package: loaded late, and found by type checkers and editors all the same."""

import ast
import re
from pathlib import Path

import pytest

import tfx_loop

ROOT = Path(__file__).resolve().parents[1]


def test_type_checkers_see_the_names_that_are_loaded_late():
    """An editor reads the stub, Python loads by the table."""
    tree = ast.parse((ROOT / "components/__init__.pyi").read_text())
    shown = {node.name: ast.unparse(node.bases[0]) for node in tree.body if hasattr(node, "bases")}
    shown |= {
        alias.asname: f"{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    homes = {**tfx_loop._HOMES, **tfx_loop._FUNCTIONS}
    assert shown == {name: f"{home}.{name}" for name, home in homes.items()}


def test_the_names_are_there_and_sorted():
    homes = {**tfx_loop._HOMES, **tfx_loop._FUNCTIONS}
    assert sorted(homes) == tfx_loop.__all__ == dir(tfx_loop)
    for name, home in homes.items():
        source = (ROOT / "src" / f"{home.replace('.', '/')}.py").read_text()
        assert re.search(rf"^(class|def) {name}\b|^{name} = ", source, re.MULTILINE), (
            f"{name} in {home}"
        )


def test_a_name_that_is_not_there_is_no_attribute():
    with pytest.raises(AttributeError, match="'Driftmonitor'"):
        _ = tfx_loop.Driftmonitor


def test_the_version_is_that_of_the_project():
    found = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert tfx_loop.__version__ == found[1]
