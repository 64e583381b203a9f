"""The built wheel in an environment of its own, beside a project with folders named as ours are."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from time_limits import seconds

ROOT = Path(__file__).resolve().parents[2]
# What the package is built from; src/ and components/ hold links, which are kept as such.
SOURCES = ("components", "pipelines", "src", "pyproject.toml", "MANIFEST.in", "README.md",
           "CHANGELOG.md", "LICENSE")  # fmt: skip
DATA = {".css", ".json", ".pbtxt", ".pyi", ".txt", ".typed"}

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]


def run(*command: object, cwd: Path) -> str:
    """Runs a command as a user would, without a path of the checkout; returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=seconds(300),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """Calls the build backend as pip does; returns the wheel or the sdist."""
    out.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    run(sys.executable, "-c", code, cwd=source)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("checkout")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_tfx_loop_alone_with_its_data(wheel: Path) -> None:
    inside = contents(wheel)
    (info,) = {name.split("/")[0] for name in inside} - {"tfx_loop"}
    assert info == "tfx_loop-0.1.0.dist-info"
    assert inside[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    expected = {
        f"tfx_loop/{path.relative_to(ROOT).as_posix().removeprefix('components/')}"
        for room in ("components", "pipelines")
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", *DATA} and "components/pipelines" not in path.as_posix()
    }
    assert {name for name in inside if name.startswith("tfx_loop/")} == expected


def test_the_metadata_is_complete(wheel: Path) -> None:
    text = contents(wheel)["tfx_loop-0.1.0.dist-info/METADATA"].decode()
    for field in (
        "Summary: Deployment and monitoring",
        "Author: ",
        "License-Expression: Apache-2.0",
        "Requires-Python: <3.14,>=3.10",
        "Classifier: Typing :: Typed",
        "Provides-Extra: kubeflow",
        "Description-Content-Type: text/markdown",
    ):
        assert f"\n{field}" in text


def test_the_sdist_builds_the_same_wheel(
    checkout: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", checkout, folder / "made")) as archive:
        assert not [name for name in archive.getnames() if "/tests" in name]
        # Made by the line above; early releases of Python 3.10 have no filter.
        archive.extractall(folder)  # noqa: S202
    again = contents(build("wheel", folder / "tfx_loop-0.1.0", folder / "wheel"))
    assert again.keys() == contents(wheel).keys()


def environment(folder: Path, *flags: str) -> Path:
    """Makes an empty environment; returns its folder for `bin`."""
    run(sys.executable, "-m", "venv", *flags, folder, cwd=folder.parent)
    return folder / "bin"


def lend_locked_packages(bin_folder: Path) -> None:
    """Puts the locked packages behind those of the environment, as if installed there."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = run(bin_folder / "python", "-c", ask, cwd=bin_folder).strip()
    Path(folder, "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")


def install(pip_folder: Path, bin_folder: Path, *what: object) -> None:
    """Installs into an environment with the pip of another: one pip for both saves 10 s."""
    target = ("--python", bin_folder / "python")
    flags = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(pip_folder / "python", "-m", "pip", *target, "install", *flags, *what, cwd=bin_folder)


PIPELINE = """\
import sys
from pathlib import Path
from components import labels
from tfx import v1 as tfx
from tfx_loop import DriftMonitor, PredictionLog, ReferenceProfiler, SpanExampleGen
from tfx_loop.pipelines.config import LOCAL_BEAM_ARGS

examples = SpanExampleGen(input_base="data", spans="1", key_column="trip")
profiler = ReferenceProfiler(examples=examples.outputs["examples"], label_key=labels.KEY)
log = tfx.dsl.Importer(source_uri="log", artifact_type=PredictionLog).with_id("log")
monitor = DriftMonitor(
    prediction_log=log.outputs["result"], reference_profile=profiler.outputs["reference_profile"]
)
tfx.orchestration.experimental.KubeflowV2DagRunner(
    config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(), output_filename=sys.argv[1]
).run(
    tfx.dsl.Pipeline(
        pipeline_name="theirs",
        pipeline_root="root",
        components=[examples, profiler, log, monitor],
        beam_pipeline_args=list(LOCAL_BEAM_ARGS),
    ),
    write_out=True,
)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project with `components` and `pipelines` of its own."""
    folder = tmp_path_factory.mktemp("project")
    for package in ("components", "pipelines"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("")
    (folder / "components/labels.py").write_text('KEY = "late"\n')
    (folder / "pipelines/monitoring.py").write_text(PIPELINE)
    return folder


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of an environment with the wheel and nothing else of ours."""
    bin_folder = environment(tmp_path_factory.mktemp("environment") / "venv")
    install(bin_folder, bin_folder, wheel)
    return bin_folder


def test_the_names_and_the_help_need_no_dependency(installed: Path, project: Path) -> None:
    code = "import tfx_loop; print(tfx_loop.__file__, tfx_loop.__version__)"
    file, version = run(installed / "python", "-c", code, cwd=project).split()
    assert Path(file).is_relative_to(installed.parent)
    assert version == "0.1.0"
    assert "monitor" in run(installed / "loop", "--help", cwd=project)


def test_a_project_s_components_and_pipelines_stay_its_own(installed: Path, project: Path) -> None:
    lend_locked_packages(installed)
    run(installed / "python", "-m", "pipelines.monitoring", project / "theirs.json", cwd=project)
    spec = json.loads((project / "theirs.json").read_text())["pipelineSpec"]
    outputs = spec["components"]["DriftMonitor"]["outputDefinitions"]["artifacts"]
    (kind,) = (output["artifactType"] for output in outputs.values())
    assert "tfx_loop.DriftReport" in json.dumps(kind)


def test_an_editable_install_shows_tfx_loop_alone(
    installed: Path, checkout: Path, tmp_path: Path
) -> None:
    bin_folder = environment(tmp_path / "venv", "--without-pip")
    lend_locked_packages(bin_folder)
    install(installed, bin_folder, "--editable", checkout)
    code = (
        "import importlib.util, tfx_loop, tfx_loop.pipelines.cli.main as main\n"
        "theirs = map(importlib.util.find_spec, ('components', 'pipelines'))\n"
        "print(tfx_loop.__file__, main.__file__, *theirs)"
    )
    package, command, *theirs = run(bin_folder / "python", "-c", code, cwd=tmp_path).split()
    assert Path(package).resolve() == checkout / "components/__init__.py"
    assert Path(command).resolve() == checkout / "pipelines/cli/main.py"
    assert theirs == ["None", "None"]
