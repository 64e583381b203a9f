"""The digits example as it runs: both of its pipelines, and what comes of them."""

from collections.abc import Callable
from pathlib import Path

from tfx.orchestration.pipeline import Pipeline

from tfx_loop.contracts.edgetpu_report import EDGETPU_REPORT, EdgeTpuResult
from tfx_loop.contracts.optimization_report import OPTIMIZATION_REPORT, OptimizationResult
from tfx_loop.core.storage import write_bytes
from tfx_loop.deployment.model_server.client import ModelClient
from tfx_loop.optimization.reporting import page
from tfx_loop.pipelines.config import PipelineSettings, ServingSettings
from tfx_loop.pipelines.examples.digits.data import write_spans
from tfx_loop.pipelines.examples.digits.pipeline import (
    EdgeSettings,
    compression_pipeline,
    edge_pipeline,
)
from tfx_loop.pipelines.examples.digits.settings import COMPRESSION, MODEL_NAME, STUDENT
from tfx_loop.pipelines.runners.local import run_pipeline
from tfx_loop.pipelines.runners.model_server import model_server

Say = Callable[[str], None]
# One id for every run into a folder: a run that was cut off is resumed.
_RUN_ID = "digits"


def run_compression(folder: Path, say: Say) -> OptimizationResult:
    """Trains, makes variants, judges each, chooses one and serves it; returns the choice.

    Writes a page for every optimiser into `folder/pages/`.

    Args:
        folder: Where everything goes; a run that was cut off continues there.
        say: Gets a line for each node that ends.
    """
    settings = _settings(folder)
    log = folder / "prediction_log"
    with model_server(MODEL_NAME, folder / "serving", log, folder) as url:
        serving = ServingSettings(
            base_path=str(folder / "serving"), server_url=url, prediction_log=str(log)
        )
        _run(compression_pipeline(settings, serving, COMPRESSION), say)
        states = [status.state for status in ModelClient(url, MODEL_NAME).status()]
        say(f"the server says {', '.join(states) or 'nothing'}")
    for node, report in _reports(folder).items():
        write_bytes(str(folder / "pages" / f"{node}.html"), page.render(report).encode())
    return _reports(folder)["VariantChooser"]


def run_edge(folder: Path, say: Say) -> EdgeTpuResult:
    """Brings an int8 student to devices; returns the report of what maps to the Edge TPU.

    Args:
        folder: Where everything goes; the bundles below `bundles/`.
        say: Gets a line for each node that ends.
    """
    edge = EdgeSettings(base_path=str(folder / "bundles"), distillation=STUDENT)
    _run(edge_pipeline(_settings(folder), edge), say)
    # The newest: a folder that was used before holds a report of each run.
    (report,) = sorted(folder.glob("artifacts/EdgeTPUCompiler/edgetpu_report/*"))[-1:]
    return EDGETPU_REPORT.read(report)


def _settings(folder: Path) -> PipelineSettings:
    write_spans(folder / "spans")
    return PipelineSettings(
        root=str(folder / "artifacts"),
        metadata_path=str(folder / "metadata.sqlite"),
        data=str(folder / "spans"),
        labels=str(folder / "labels"),
    )


def _run(pipeline: Pipeline, say: Say) -> None:
    run_pipeline(pipeline, _RUN_ID, lambda done: say(f"{done.node} took {done.seconds:.0f} s"))


def _reports(folder: Path) -> dict[str, OptimizationResult]:
    files = folder.glob("artifacts/*/optimization_report/*/optimization_report.json")
    return {path.parts[-4]: OPTIMIZATION_REPORT.load(path) for path in sorted(files)}
