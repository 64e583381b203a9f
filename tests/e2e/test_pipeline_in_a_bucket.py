"""Data, artifacts and bundles in a bucket of loopback; the metadata store alone is a file."""

import dataclasses
import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.e2e, pytest.mark.long]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    from gcs_for_tensorflow import gcs_bucket

    with gcs_bucket("pipelines", tmp_path_factory.mktemp("bucket")) as address:
        yield address


def settings_in(bucket, folder: Path):
    from tfx.utils import io_utils

    from tfx_loop.pipelines.config import PipelineSettings
    from tfx_loop.pipelines.examples.digits.data import write_spans

    write_spans(folder / "data")
    io_utils.copy_dir(str(folder / "data"), f"{bucket}/data")
    return PipelineSettings(
        root=f"{bucket}/artifacts",
        metadata_path=str(folder / "metadata.sqlite"),
        data=f"{bucket}/data",
        labels="",
    )


def test_training_compression_and_devices_work_in_a_bucket(bucket, tmp_path):
    from tfx.dsl.io import fileio

    from tfx_loop import EdgeBundler, EdgeTPUCompiler, ReferenceProfiler, ServingPusher
    from tfx_loop.edge.edge_bundle.on_device import POINTER
    from tfx_loop.pipelines.assembly import assemble
    from tfx_loop.pipelines.compression import compression
    from tfx_loop.pipelines.examples.digits.data import CLASSES, KEY
    from tfx_loop.pipelines.examples.digits.pipeline import trained_digits
    from tfx_loop.pipelines.examples.digits.settings import COMPRESSION
    from tfx_loop.pipelines.runners.local import run_pipeline

    settings = settings_in(bucket, tmp_path)
    digits = trained_digits(settings)
    examples = digits.trained.examples
    compressing = dataclasses.replace(COMPRESSION, distillation=None, pruning=None)
    compressed = compression(digits.trained, compressing)
    chosen = compressed.chooser.outputs["model"]
    profile = ReferenceProfiler(
        examples=examples, model=digits.trained.model, ignore_features=[KEY]
    )
    compiler = EdgeTPUCompiler(model=chosen, min_mapped_share=0.0)
    bundler = EdgeBundler(
        model=compiler.outputs["edgetpu_model"],
        examples=examples,
        edgetpu_report=compiler.outputs["edgetpu_report"],
        name="digits-edge",
        labels=[str(digit) for digit in range(CLASSES)],
    )
    pusher = ServingPusher(
        model=bundler.outputs["bundle"],
        model_blessing=compressed.chooser.outputs["model_blessing"],
        model_name="digits-edge",
        base_path=f"{bucket}/bundles",
        target="devices",
    )
    nodes = [*digits.nodes, profile, *compressed.nodes, compiler, bundler, pusher]
    times = run_pipeline(assemble("digits", nodes, settings, metadata=True), "in-a-bucket")
    print(*(f"{one.node}: {one.seconds:.0f} s" for one in times), sep="\n")
    assert len(times) == len(nodes)
    with fileio.open(f"{bucket}/bundles/{POINTER}", "r") as file:
        assert json.loads(file.read())["candidate"]
    assert not list(tmp_path.glob("gs:*")), "nothing lies in a folder that is called as the bucket"
