"""The official kfp.local runs a compiled pipeline in the built image: `make test-kfp-local`.

SpanExampleGen, StatisticsGen, SchemaGen and ReferenceProfiler read spans of handwritten digits. The
commands in the containers are those that `loop compile` writes, behind the entry point; the same
pipeline runs in this process beside it. What is asserted are the outputs: kfp.local's own codes say
little. It needs podman, the image of `make image`, and a Python with kfp 2.17 and docker, which
KFP_PYTHON names.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

IMAGE = os.environ.get("IMAGE", "localhost/tfx-loop:latest")
IN_KFP = Path(__file__).with_name("in_kfp.py")
NODES = ("SpanExampleGen", "StatisticsGen", "SchemaGen", "ReferenceProfiler")


def pipeline(data: Path, root: Path, metadata: str = "") -> Any:
    """Returns the pipeline; with a metadata store it runs here."""
    from tfx import v1 as tfx

    from tfx_loop import ReferenceProfiler, SpanExampleGen
    from tfx_loop.pipelines.assembly import assemble
    from tfx_loop.pipelines.config import PipelineSettings
    from tfx_loop.pipelines.examples.digits.data import KEY, LABEL, write_spans

    examples = SpanExampleGen(
        input_base=str(data), spans=write_spans(data), key_column=KEY, label_column=LABEL
    )
    rows = examples.outputs["examples"]
    statistics = tfx.components.StatisticsGen(examples=rows)
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"])
    profile = ReferenceProfiler(examples=rows, ignore_features=[KEY])
    settings = PipelineSettings(
        root=str(root), metadata_path=metadata or "unused", data=str(data), labels=""
    )
    nodes = [examples, statistics, schema, profile]
    return assemble("digits-profile", nodes, settings, metadata=bool(metadata))


def compiled(made: Any, folder: Path) -> Path:
    """Writes the spec as `loop compile` does; a root on this disk is a breach for no kfp.local."""
    from tfx_loop.pipelines.runners.remote.compiling import CompileSettings, compile_pipeline
    from tfx_loop.pipelines.runners.remote.targets import Target

    settings = CompileSettings(target=Target.KUBEFLOW, image=IMAGE, mounts=[str(folder)])
    found = compile_pipeline(made, settings)
    told = {breach.rule for breach in found.breaches} - {"pipeline-root", "image-digest"}
    assert not told, [breach.sentence for breach in found.breaches]
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(found.spec))
    return path


def outputs(root: Path) -> dict[str, int]:
    """Returns how many files each kind of output has."""
    kinds = {
        "examples": "*/examples/**/*.gz",
        "statistics": "*/statistics/**/FeatureStats.pb",
        "schema": "*/schema/**/schema.pbtxt",
        "reference profile": "*/reference_profile/**/reference_profile.json",
    }
    return {name: len(list(root.glob(f"**/{pattern}"))) for name, pattern in kinds.items()}


def main() -> int:
    """Runs both and prints them beside each other; 1 where an output lacks."""
    from tfx_loop.pipelines.runners.local import run_pipeline

    kfp_python = os.environ.get("KFP_PYTHON", "")
    if not kfp_python:
        print("Expected KFP_PYTHON, a Python with kfp 2.17 and docker, received none.")
        return 1
    with tempfile.TemporaryDirectory(prefix="loop-kfp-local-") as scratch:
        folder = Path(scratch)
        # The image's user is another one than who runs this.
        folder.chmod(0o755)
        data, root = folder / "data", folder / "root"
        root.mkdir()
        root.chmod(0o777)
        spec = compiled(pipeline(data, root), folder)
        started = time.monotonic()
        here = pipeline(data, folder / "here", str(folder / "metadata.sqlite"))
        run_pipeline(here, "here")
        print(f"in this process: {time.monotonic() - started:.0f} s")
        socket = folder / "engine.sock"
        podman = os.environ.get("ENGINE", "podman").split()
        engine = subprocess.Popen([*podman, "system", "service", "--time=0", f"unix://{socket}"])
        try:
            subprocess.run(
                [kfp_python, str(IN_KFP), str(spec), str(root), str(data)],
                env={**os.environ, "DOCKER_HOST": f"unix://{socket}"},
                check=False,
            )
        finally:
            engine.terminate()
            engine.wait()
        made = outputs(root)
        for name, files in made.items():
            print(f"{name}: {files} files")
        return 0 if all(made.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
