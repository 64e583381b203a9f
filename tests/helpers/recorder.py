"""Runs recorded into MLMD in seconds, exactly as TFX records them.

TFX takes 15 s to import, so tests of the loop and of lineage run small pipelines with this
recorder: the same contexts (`pipeline`, `pipeline_run`, `node`), an execution that is RUNNING with
its INPUT events before the node works and COMPLETE or FAILED with OUTPUT events after, and TFX's
way with a run id that is run again (`launcher._register_or_reuse_execution`): a node that is done
is skipped, a RUNNING or FAILED execution is taken up again, an Importer is executed anew.
"""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.contracts.measured_loss import SavingState
from tfx_loop.contracts.retrain_decision import (
    RETRAIN_DECISION,
    DecisionEvidence,
    DecisionRecord,
    RetrainVerdict,
)
from tfx_loop.pipelines.control import leases, stores
from tfx_loop.pipelines.control.launcher import LaunchRequest, RunStatus
from tfx_loop.pipelines.control.ledger import set_properties
from tfx_loop.pipelines.control.run_state import mlmd_run_state

IMPORTER = "tfx.dsl.components.common.importer.Importer"
DONE = (pb.Execution.COMPLETE, pb.Execution.CACHED)


def open_store(path: Path | str) -> Any:
    """Opens (and makes) the SQLite store at a path, as TFX does, or one of a database server."""
    return stores.open_store(str(path), stores.StoreMode.CREATE)


@dataclass
class RecordedOutput:
    """An artifact that a node makes."""

    type_name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class RecordedNode:
    """A node of a recorded pipeline.

    `inputs` name the producer and its output key (`"Trainer.model"`). `import_uri` makes it an
    Importer of `outputs["result"]`. `work` runs between RUNNING and COMPLETE; it may raise.
    """

    name: str
    type_name: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, RecordedOutput] = field(default_factory=dict)
    import_uri: str = ""
    work: Callable[[], None] = lambda: None


class RecordedRun:
    """Runs nodes in order under one run id."""

    def __init__(
        self,
        store: Any,
        pipeline: str,
        run_id: str,
        root: Path,
        on_point: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.store, self.pipeline, self.run_id, self.root = store, pipeline, run_id, root
        self.on_point = on_point
        self.made: dict[str, list[pb.Artifact]] = {}

    def run(self, nodes: Sequence[RecordedNode]) -> None:
        """Executes nodes that are not done, like LocalDagRunner under a fixed run id."""
        for node in nodes:
            self.on_point(f"before:{node.name}")
            if node.import_uri:
                self._import(node)
            else:
                self._execute(node)
        self.on_point("after_nodes")

    def _contexts(self, node: RecordedNode) -> list[pb.Context]:
        names = {
            "pipeline": self.pipeline,
            "pipeline_run": self.run_id,
            "node": f"{self.pipeline}.{node.name}",
        }
        contexts = []
        for kind, name in names.items():
            if self.store.get_context_by_type_and_name(kind, name) is None:
                type_id = self.store.put_context_type(pb.ContextType(name=kind))
                # Another run of the pipeline may make the context at the same time.
                with contextlib.suppress(errors.AlreadyExistsError):
                    self.store.put_contexts([pb.Context(type_id=type_id, name=name)])
            contexts.append(self.store.get_context_by_type_and_name(kind, name))
        return contexts

    def _existing(self, contexts: list[pb.Context]) -> pb.Execution | None:
        per = [{e.id for e in self.store.get_executions_by_context(c.id)} for c in contexts]
        common = set.intersection(*per)
        assert len(common) <= 1, "Expecting no more than one previous executions"
        return self.store.get_executions_by_id(list(common))[0] if common else None

    def _put(self, execution: pb.Execution, edges: Any, contexts: list[pb.Context]) -> pb.Execution:
        execution_id, _, _ = self.store.put_execution(
            execution,
            edges,
            contexts,
            reuse_context_if_already_exist=True,
            force_reuse_context=True,
        )
        return self.store.get_executions_by_id([execution_id])[0]

    def _new(self, type_name: str, state: int = pb.Execution.RUNNING) -> pb.Execution:
        type_id = self.store.put_execution_type(pb.ExecutionType(name=type_name))
        return pb.Execution(type_id=type_id, last_known_state=state)

    def _execute(self, node: RecordedNode) -> None:
        contexts = self._contexts(node)
        execution = self._existing(contexts)
        if execution is None:
            edges = [
                (artifact, _event(pb.Event.INPUT, key, index))
                for key, source in node.inputs.items()
                for index, artifact in enumerate(self.made.get(source, []))
            ]
            new = self._new(node.type_name or f"pkg.{node.name.lower()}.component.{node.name}")
            execution = self._put(new, edges, contexts)
        if execution.last_known_state in DONE:
            self._remember(node, execution)
            return
        self.on_point(f"running:{node.name}")
        try:
            node.work()
        except Exception:
            execution.last_known_state = pb.Execution.FAILED
            self._put(execution, [], contexts)
            raise
        execution.last_known_state = pb.Execution.COMPLETE
        edges = [
            (self._write(node, key, output, execution.id), _event(pb.Event.OUTPUT, key, 0))
            for key, output in node.outputs.items()
        ]
        self._put(execution, edges, contexts)
        self._remember(node, execution)

    def _write(
        self, node: RecordedNode, key: str, output: RecordedOutput, number: int
    ) -> pb.Artifact:
        uri = self.root / node.name / key / str(number)
        uri.mkdir(parents=True, exist_ok=True)
        for name, content in output.files.items():
            (uri / name).write_text(json.dumps(content))
        type_id = self.store.put_artifact_type(pb.ArtifactType(name=output.type_name))
        artifact = pb.Artifact(type_id=type_id, uri=str(uri), state=pb.Artifact.LIVE)
        set_properties(artifact, output.properties)
        return artifact

    def _import(self, node: RecordedNode) -> None:
        contexts = self._contexts(node)
        execution = self._put(self._new(IMPORTER), [], contexts)
        self.on_point(f"running:{node.name}")
        [output] = node.outputs.values()
        type_id = self.store.put_artifact_type(pb.ArtifactType(name=output.type_name))
        same = [a for a in self.store.get_artifacts_by_uri(node.import_uri) if a.type_id == type_id]
        artifact = pb.Artifact(type_id=type_id, uri=node.import_uri, state=pb.Artifact.LIVE)
        set_properties(artifact, output.properties)
        if same and not output.properties:
            artifact = same[-1]
        execution.last_known_state = pb.Execution.CACHED if artifact.id else pb.Execution.COMPLETE
        self._put(execution, [(artifact, _event(pb.Event.OUTPUT, "result", 0))], contexts)
        self._remember(node, execution)

    def _remember(self, node: RecordedNode, execution: pb.Execution) -> None:
        for event in self.store.get_events_by_execution_ids([execution.id]):
            if event.type == pb.Event.OUTPUT:
                key = f"{node.name}.{event.path.steps[0].key}"
                self.made[key] = self.store.get_artifacts_by_id([event.artifact_id])


def _event(kind: int, key: str, index: int) -> pb.Event:
    event = pb.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = index
    return event


class RecordedLauncher:
    """A launcher of this process whose pipeline is `nodes(run_id, request)`."""

    def __init__(
        self,
        store: Any,
        pipeline: str,
        root: Path,
        nodes: Callable[[str, LaunchRequest], Sequence[RecordedNode]],
        on_point: Callable[[str], None] = lambda point: None,
    ) -> None:
        self.store, self.pipeline, self.root, self.nodes = store, pipeline, root, nodes
        self.on_point = on_point

    def check(self, request: LaunchRequest) -> None:
        """Has nothing to miss."""

    def launch(self, run_id: str, request: LaunchRequest) -> None:
        """Runs the pipeline to its end, or resumes it."""
        with leases.hold(self.store, run_id):
            run = RecordedRun(self.store, self.pipeline, run_id, self.root, self.on_point)
            run.run(self.nodes(run_id, request))

    def state(self, run_id: str) -> RunStatus:
        """Asks MLMD."""
        return mlmd_run_state(self.store, run_id)


def decision_content(**told: Any) -> dict[str, Any]:
    """Returns the content of `retrain_decision.json` as RetrainDecider writes it."""
    evidence = DecisionEvidence(
        avoidable_loss=None,
        accumulated=0.05,
        saving=SavingState(accumulated=0.05),
        rows=5000,
        labelled_rows=4800,
        one_class=False,
    )
    record = DecisionRecord(
        verdict=RetrainVerdict(told["verdict"]),
        reason="retraining_pays",
        explanation="Retraining would save more than it costs.",
        policy_version="avoidable-loss/1",
        model_name="flights",
        model_version=1,
        window=told["window"],
        label_window="",
        evidence=evidence,
    )
    return RETRAIN_DECISION.content(record) | told


def under_former_names(nodes: Sequence[RecordedNode]) -> list[RecordedNode]:
    """Returns nodes whose artifacts have the type names of before the package was `tfx_loop`."""
    former = []
    for node in nodes:
        outputs = {
            key: replace(output, type_name=output.type_name.replace("tfx_loop.", "components."))
            for key, output in node.outputs.items()
        }
        former.append(replace(node, outputs=outputs))
    return former


def monitoring_nodes(
    decision: Mapping[str, Any], work: Callable[[], None] = lambda: None
) -> list[RecordedNode]:
    """Returns the monitoring pipeline that makes one decision (`window`, `verdict`, ...)."""
    content = decision_content(**decision)
    properties = {
        "verdict": content["verdict"],
        "reason": content["reason"],
        "window": content["window"],
        "model_version": content["model_version"],
        "retrain": int(content["verdict"] == "RETRAIN"),
        "avoidable_loss": 0.03,
        "accumulated": 0.05,
        "model_name": content["model_name"],
        "label_window": content["label_window"],
        "reinstate": content.get("reinstate", 0),
        "faulty_windows": ",".join(
            faulty["window"] for faulty in content["evidence"].get("faulty_windows") or ()
        ),
    }
    window = {"window": content["window"]}
    return [
        RecordedNode(
            "PredictionLogGen", outputs={"log": RecordedOutput("tfx_loop.PredictionLog", window)}
        ),
        RecordedNode(
            "DriftMonitor",
            inputs={"prediction_log": "PredictionLogGen.log"},
            outputs={
                "report": RecordedOutput("tfx_loop.DriftReport", {**window, "verdict": "DRIFT"})
            },
            work=work,
        ),
        RecordedNode(
            "RetrainDecider",
            inputs={"drift_report": "DriftMonitor.report"},
            outputs={
                "decision": RecordedOutput(
                    "tfx_loop.RetrainDecision", properties, {"retrain_decision.json": content}
                )
            },
        ),
    ]


def training_nodes(
    version: int,
    spans: str = "1,2",
    decision_uri: str = "",
    baseline_uri: str = "",
    pushed_at_ms: int = 0,
    work: Callable[[], None] = lambda: None,
    blessed: bool = True,
) -> list[RecordedNode]:
    """Returns the training pipeline that pushes one version."""
    imports = []
    if decision_uri:
        result = {"result": RecordedOutput("tfx_loop.RetrainDecision")}
        imports.append(RecordedNode("decision", import_uri=decision_uri, outputs=result))
    if baseline_uri:
        result = {"result": RecordedOutput("Model")}
        imports.append(RecordedNode("champion", import_uri=baseline_uri, outputs=result))
    pushed = {
        "pushed_version": version,
        "pushed_destination": f"/serving/flights/{version}",
        "model_digest": f"sha256:{version:064d}",
        "replaced_version": max(version - 1, 0),
        "pushed_at_ms": pushed_at_ms,
        "model_name": "flights",
    }
    pushes = {"pushed_model": RecordedOutput("PushedModel", pushed)} if blessed else {}
    return [
        *imports,
        RecordedNode(
            "SpanExampleGen",
            inputs={"decision": "decision.result"} if decision_uri else {},
            outputs={"examples": RecordedOutput("Examples", {"spans": spans})},
        ),
        RecordedNode(
            "Trainer",
            inputs={"examples": "SpanExampleGen.examples"},
            outputs={"model": RecordedOutput("Model")},
            work=work,
        ),
        RecordedNode(
            "Evaluator",
            inputs={
                "examples": "SpanExampleGen.examples",
                "model": "Trainer.model",
                **({"baseline_model": "champion.result"} if baseline_uri else {}),
            },
            outputs={
                "evaluation": RecordedOutput("ModelEvaluation", {"auc": 0.71}),
                "blessing": RecordedOutput("ModelBlessing", {"blessed": int(blessed)}),
            },
        ),
        RecordedNode(
            "ServingPusher",
            inputs={"model": "Trainer.model", "model_blessing": "Evaluator.blessing"},
            outputs=pushes,
        ),
    ]
