"""One example pipeline, run in this process: its stock nodes first, then each of ours.

`python -m tests.benchmarks.examples.one NAME FOLDER` prints what became of each node as JSON lines.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.examples.steps import Run
from tests.benchmarks.examples.stock import EXAMPLES, StockExample
from tests.benchmarks.examples.traffic import serve, write_span
from tests.benchmarks.examples.workbench import ORDER, Outcome, Workbench, sentence


def main() -> None:
    """Runs the pipeline named, and prints an outcome a line."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    example = EXAMPLES[name]
    if example.keras_2:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with os.fdopen(os.dup(1), "w") as out:
        # What TFX and Beam print is none of the outcomes.
        os.dup2(2, 1)
        for outcome in outcomes(name, example, folder):
            print(json.dumps(vars(outcome)), file=out, flush=True)


def outcomes(name: str, example: StockExample, folder: Path) -> Iterator[Outcome]:
    """Yields what became of each node, the stock pipeline first."""
    from server_process import ServerProcess

    if not (folder / "data").exists():
        example.write(folder / "data")
    base = folder / "serving" / name
    base.mkdir(parents=True, exist_ok=True)
    server = ServerProcess(base, folder, folder / "log", model_name=name).start()
    try:
        bench = Workbench(example, folder, server.rest_port)
        run = Run(bench.declare())
        started = time.monotonic()
        for node in bench.stock.components:
            run.node(node.id)
        yield Outcome("stock", "ran", time.monotonic() - started)
        write_span(bench)
        for node in ORDER:
            if node == "PredictionLogGen" and "ServingPusher" in run.done:
                serve(bench, name)
            outcome = bench.refused.get(node) or run.outcome(node, bench.declared[node])
            yield replace(outcome, said=outcome.said or verdict(folder, node))
        yield Outcome("V2", *compiled(bench))
    finally:
        server.stop()


def verdict(folder: Path, node: str) -> str:
    """Returns the verdict and the reason that a node wrote; nothing where it judges nothing."""
    for file in sorted(folder.glob(f"root/{node}/*/*/*.json")):
        told = json.loads(file.read_text())
        if isinstance(told, dict) and "verdict" in told:
            return f"{told['verdict']} {told.get('reason', '')}".strip()
    return ""


def compiled(bench: Workbench) -> tuple[str, float, str]:
    """Compiles the stock pipeline with every node that could be declared for Kubeflow V2."""
    from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as v2

    started = time.monotonic()
    runner = v2.KubeflowV2DagRunner(
        config=v2.KubeflowV2DagRunnerConfig(), output_filename=str(bench.folder / "v2.json")
    )
    try:
        runner.run(bench.declare(), write_out=True)
    except Exception as error:
        return "failed", time.monotonic() - started, sentence(error)
    spec = json.loads((bench.folder / "v2.json").read_text())["pipelineSpec"]
    tasks = spec["root"]["dag"]["tasks"]
    return "ran", time.monotonic() - started, f"{len(bench.added)} of ours of {len(tasks)} tasks"


if __name__ == "__main__":
    main()
