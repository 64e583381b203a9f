"""A store of many runs, as TFX and the loop would have recorded them, written in few transactions.

A model was trained by hand, then monitored window by window; every fourth window asks for a
retraining, which pushes the next version. `recorder` records the same one call at a time, which
takes minutes for ten thousand executions.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb
from recorder import decision_content

from tfx_loop.contracts.retrain_decision import RETRAIN_DECISION
from tfx_loop.pipelines.control import ledger, stores

RETRAIN_EVERY = 4
# A window's rows, labels, drift, quality and decision; data, training, gate and push.
MONITORING = (
    ("PredictionLogGen", "PredictionLogGen", (), "prediction_log", "tfx_loop.PredictionLog"),
    ("LabelWindowLogGen", "PredictionLogGen", (), "prediction_log", "tfx_loop.PredictionLog"),
    ("Profile", "Importer", (), "result", "tfx_loop.ReferenceProfile"),
    (
        "LabelJoiner",
        "LabelJoiner",
        ("LabelWindowLogGen",),
        "labelled_log",
        "tfx_loop.PredictionLog",
    ),
    (
        "DriftMonitor",
        "DriftMonitor",
        ("PredictionLogGen", "Profile"),
        "drift_report",
        "tfx_loop.DriftReport",
    ),
    (
        "QualityMonitor",
        "QualityMonitor",
        ("LabelJoiner", "Profile"),
        "evaluation",
        "ModelEvaluation",
    ),
    (
        "RetrainDecider",
        "RetrainDecider",
        ("DriftMonitor", "LabelJoiner", "Profile"),
        "decision",
        "tfx_loop.RetrainDecision",
    ),
)
TRAINING = (
    ("decision", "Importer", (), "result", "tfx_loop.RetrainDecision"),
    ("champion", "Importer", (), "result", "Model"),
    ("SpanExampleGen", "SpanExampleGen", ("decision",), "examples", "Examples"),
    ("Transform", "Transform", ("SpanExampleGen",), "transformed_examples", "Examples"),
    ("Trainer", "Trainer", ("Transform",), "model", "Model"),
    (
        "ReferenceProfiler",
        "ReferenceProfiler",
        ("SpanExampleGen", "Trainer"),
        "result",
        "tfx_loop.ReferenceProfile",
    ),
    (
        "Evaluator",
        "Evaluator",
        ("SpanExampleGen", "Trainer", "champion"),
        "blessing",
        "ModelBlessing",
    ),
    (
        "ServingPusher",
        "ServingPusher",
        ("Trainer", "Evaluator", "ReferenceProfiler"),
        "pushed_model",
        "PushedModel",
    ),
)
# Under which key a reader takes what a node made, where that is not the name of its output.
_KEYS = {
    ("Evaluator", "champion"): "baseline_model",
    ("ServingPusher", "Evaluator"): "model_blessing",
    ("ServingPusher", "ReferenceProfiler"): "reference_profile",
    **{(n, "Profile"): "reference_profile" for n in ("DriftMonitor", "QualityMonitor")},
    ("RetrainDecider", "Profile"): "reference_profile",
    ("RetrainDecider", "LabelJoiner"): "labelled_log",
}


@dataclass
class LargeStore:
    """What was built.

    Attributes:
        address: The store.
        folder: Where the artifacts' files are.
        executions: How many executions were written.
        version: The version that serves.
        windows: Names of the windows, oldest first.
    """

    address: str
    folder: Path
    executions: int = 0
    version: int = 0
    windows: list[str] = field(default_factory=list)


def build(address: str, folder: Path, executions: int) -> LargeStore:
    """Builds a store of at least so many executions of nodes."""
    made = LargeStore(address, folder)
    writer = _Writer(stores.open_store(address, stores.StoreMode.CREATE), folder)
    model = writer.training(1, "first", "", "", (1, 2))
    made.version = 1
    while writer.executions < executions:
        number = len(made.windows) + 1
        window = f"day-{number:05d}"
        made.windows.append(window)
        asks = number % RETRAIN_EVERY == 0
        decision = writer.monitoring(window, made.version, asks)
        if asks:
            made.version += 1
            model = writer.training(
                made.version, f"retrain-flights-{window}", decision, model, tuple(range(1, 3))
            )
    writer.flush()
    made.executions = writer.executions
    return made


class _Writer:
    """Collects runs, and writes a few hundred executions at a time."""

    def __init__(self, store: Any, folder: Path) -> None:
        self._store, self._folder = store, folder
        self.executions = 0
        self._types: dict[tuple[str, str], int] = {}
        self._loop = ledger.register_types(store)
        self._profile = ""
        self._clear()

    def _clear(self) -> None:
        self._executions: list[pb.Execution] = []
        self._artifacts: list[pb.Artifact] = []
        self._contexts: dict[tuple[str, str], pb.Context] = {}
        self._events: list[tuple[int, int, pb.Event]] = []
        self._of_context: list[tuple[int, list[tuple[str, str]]]] = []

    def monitoring(self, window: str, version: int, asks: bool) -> str:
        """Adds the run of a window; returns the URI of its decision."""
        verdict, reason = ("RETRAIN", "retraining_pays") if asks else ("HOLD", "no_avoidable_loss")
        told = {
            "window": window,
            "verdict": verdict,
            "reason": reason,
            "model_name": "flights",
            "model_version": version,
            "retrain": int(asks),
            "avoidable_loss": 0.01,
            "accumulated": 0.02,
        }
        log = {"window": window, "model_name": "flights", "rows": 5000}
        drift = {
            **log,
            "verdict": "DRIFT",
            "reason": "features_drifted",
            "drifted_features": 3,
            "model_version": version,
        }
        properties = {
            "PredictionLogGen": log,
            "LabelWindowLogGen": log,
            "LabelJoiner": log,
            "DriftMonitor": drift,
            "RetrainDecider": told,
        }
        given = {"Profile": self._profile}
        made = self._run("flights-monitoring", f"monitor-flights-{window}", MONITORING, properties,
                         given)  # fmt: skip
        uri = made["RetrainDecider"].uri
        content = {"window": window, "verdict": verdict, "reason": reason, "model_version": version}
        Path(uri).mkdir(parents=True)
        Path(uri, RETRAIN_DECISION.name).write_text(json.dumps(decision_content(**content)))
        return uri

    def training(
        self, version: int, run_id: str, decision: str, champion: str, spans: tuple[int, ...]
    ) -> str:
        """Adds the run that pushes a version; returns the URI of its model."""
        pushed = {
            "pushed_version": version,
            "pushed_destination": f"/serving/flights/{version}",
            "model_digest": f"sha256:{version:064d}",
            "replaced_version": version - 1,
            "pushed_at_ms": 1_700_000_000_000 + version * 86_400_000,
            "model_name": "flights",
            "pushed": 1,
        }
        nodes = TRAINING if decision else TRAINING[2:]
        properties = {
            "SpanExampleGen": {"spans": ",".join(map(str, spans))},
            "ServingPusher": pushed,
            "Evaluator": {"blessed": 1},
        }
        made = self._run("flights-training", run_id, nodes, properties,
                         {"decision": decision, "champion": champion})  # fmt: skip
        self._profile = made["ReferenceProfiler"].uri
        return str(made["Trainer"].uri)

    def _run(
        self,
        pipeline: str,
        run_id: str,
        nodes: Any,
        properties: dict[str, dict[str, Any]],
        imported: dict[str, str],
    ) -> dict[str, pb.Artifact]:
        made: dict[str, pb.Artifact] = {}
        places: dict[str, int] = {}
        outputs: dict[str, str] = {}
        for name, kind, inputs, key, artifact_type in nodes:
            self.executions += 1
            execution = pb.Execution(
                type_id=self._type("execution", f"pkg.{kind.lower()}.component.{kind}"),
                last_known_state=pb.Execution.COMPLETE,
            )
            # As many as the parameters of a real node are.
            parameters = {f"parameter_{n}": f"value {n} of {name}" for n in range(12)}
            ledger.set_properties(execution, parameters)
            uri = imported.get(name) or str(self._folder / pipeline / name / key / str(
                self.executions))  # fmt: skip
            artifact = pb.Artifact(
                type_id=self._type("artifact", artifact_type), uri=uri, state=pb.Artifact.LIVE
            )
            ledger.set_properties(artifact, properties.get(name, {}))
            place = len(self._executions)
            self._executions.append(execution)
            contexts = [("pipeline", pipeline), ("pipeline_run", run_id),
                        ("node", f"{pipeline}.{name}")]  # fmt: skip
            self._of_context.append((place, contexts))
            for source in inputs:
                if source in places:
                    reads = _KEYS.get((name, source), outputs[source])
                    edge = ledger.event(pb.Event.INPUT, reads)
                    self._events.append((place, places[source], edge))
            self._artifacts.append(artifact)
            self._events.append(
                (place, len(self._artifacts) - 1, ledger.event(pb.Event.OUTPUT, key))
            )
            made[name], places[name], outputs[name] = artifact, len(self._artifacts) - 1, key
        if len(self._executions) >= 400:
            self.flush()
        return made

    def _type(self, what: str, name: str) -> int:
        if (what, name) not in self._types:
            put = getattr(self._store, f"put_{what}_type")
            kind = {"artifact": pb.ArtifactType, "execution": pb.ExecutionType,
                    "context": pb.ContextType}[what]  # fmt: skip
            self._types[what, name] = put(kind(name=name))
        return self._types[what, name]

    def flush(self) -> None:
        """Writes what was collected."""
        if not self._executions:
            return
        ids, _, _ = self._store.put_lineage_subgraph(
            self._executions, self._artifacts, [], self._events, reuse_context_if_already_exist=True
        )
        names = {one for _, contexts in self._of_context for one in contexts}
        found: dict[tuple[str, str], int] = {}
        for kind, name in names:
            context = self._store.get_context_by_type_and_name(kind, name)
            if context is None:
                new = pb.Context(type_id=self._type("context", kind), name=name)
                [found[kind, name]] = self._store.put_contexts([new])
            else:
                found[kind, name] = context.id
        self._store.put_attributions_and_associations(
            [],
            [
                pb.Association(execution_id=ids[place], context_id=found[one])
                for place, contexts in self._of_context
                for one in contexts
            ],
        )
        self._clear()
