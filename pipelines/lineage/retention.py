"""Retention of artifacts' files: those may go that nothing rests on which served or was decided.

The whole walk from a prediction to its raw span is kept: every version that was ever pushed, with
all that `loop explain` finds behind it and all that its pusher read; every decision with what it
was made from; models that an evaluation passed; what deployment records name. What is young, under
way, or of the newest runs is kept, too. What goes is what TFX wrote for runs that led nowhere:
refused challengers, failed runs, and tables that other nodes have made reports of. Records in ML
Metadata stay.
"""

import contextlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tfx_loop.contracts.deployment_record import find_record
from tfx_loop.core import type_names
from tfx_loop.core.bucket.own_folders import folder_bytes, is_reachable
from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.core.errors import ConfigError, DataError, LoopError
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.lineage import facts
from tfx_loop.pipelines.lineage.graph import Artifact, Execution, Graph
from tfx_loop.pipelines.lineage.raw_files import place

_ENDED = ("COMPLETE", "CACHED", "FAILED", "CANCELED")
# Why something stays; stable names, they stand in JSON.
SERVED, DECIDED, PASSED, RECORDED, YOUNG, NEWEST, UNDER_WAY, NOT_OURS = (
    "a_version_that_was_pushed",
    "a_decision",
    "a_model_that_passed_its_evaluation",
    "a_deployment_record",
    "younger_than_keep_days",
    "of_the_newest_runs",
    "a_run_that_has_not_ended",
    "not_written_by_a_node_or_out_of_reach",
)
# Why something goes.
FAILED_RUN, LED_NOWHERE = "of_a_failed_run", "nothing_kept_rests_on_it"


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """What stays whatever rests on it.

    Attributes:
        keep_runs: Newest runs of each kind, by the first node of a run.
        keep_days: Days that everything stays.
    """

    # A person who looks into what a run wrote does so in its first weeks. Chosen, not measured.
    keep_runs: int = 10
    keep_days: float = 30.0

    def __post_init__(self) -> None:
        if self.keep_runs < 1:
            raise ConfigError(f"keep_runs must be at least 1, got {self.keep_runs}.")
        if not self.keep_days >= 0:
            raise ConfigError(f"keep_days must not be below 0, got {self.keep_days}.")


@dataclass(frozen=True, kw_only=True)
class Removable:
    """An artifact whose files may go.

    Attributes:
        artifact_id: Id in MLMD.
        type: Artifact type.
        node: Node that wrote it.
        run_id: Its run.
        folder: Its files.
        bytes: What they take.
        why: Why nothing needs them.
    """

    artifact_id: int
    type: str
    node: str
    run_id: str
    folder: str
    bytes: int
    why: str


@dataclass(frozen=True, kw_only=True)
class RetentionPlan:
    """What would go, and how many artifacts stay for which reason."""

    removable: tuple[Removable, ...]
    kept: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """What all of it takes."""
        return sum(one.bytes for one in self.removable)


def plan(
    graph: Graph, settings: RetentionSettings, now_ms: int, bases: Sequence[str] = ()
) -> RetentionPlan:
    """Returns what may go.

    Args:
        graph: The whole store.
        settings: What stays.
        now_ms: Now, milliseconds since epoch.
        bases: Base paths whose deployment records count, beside those that versions were pushed to.

    Raises:
        DataError: One of `bases` has no record, or a damaged one: what it names would go.
    """
    reasons: dict[int, str] = {}
    keeping = (
        (SERVED, _served(graph)),
        (DECIDED, _decided(graph)),
        (PASSED, _passed(graph)),
        (RECORDED, _recorded(graph, bases)),
        (UNDER_WAY, _of_runs(graph, _under_way(graph))),
        (NEWEST, _of_runs(graph, _newest(graph, settings.keep_runs))),
        (YOUNG, _young(graph, now_ms - settings.keep_days * MS_PER_DAY)),
    )
    for why, ids in keeping:
        for number in ids:
            reasons.setdefault(number, why)
    places = {
        place(graph.artifacts[number].uri) for number in reasons if graph.artifacts[number].uri
    }
    removable = []
    for number, artifact in sorted(graph.artifacts.items()):
        if number in reasons:
            continue
        maker = graph.maker(artifact)
        own = maker is not None and _is_own_folder(artifact, maker, places)
        size = folder_bytes(place(artifact.uri)) if own else None
        if maker is None or size is None:
            reasons[number] = NOT_OURS
        else:
            removable.append(_removable(artifact, maker, size))
    kept: dict[str, int] = defaultdict(int)
    for why in reasons.values():
        kept[why] += 1
    return RetentionPlan(removable=tuple(removable), kept=dict(kept))


def _served(graph: Graph) -> set[int]:
    """Returns all that was pushed, by any pusher, what that read, and what both were made from."""
    found: set[int] = set()
    for pushed in graph.artifacts_of_type(ledger.PUSHED_MODEL):
        pusher = graph.maker(pushed)
        read = graph.inputs(pusher) if pusher else []
        for artifact in (pushed, *read):
            found |= _with_same(graph, [artifact])
            for run_id in {_run_of(graph, pushed), _run_of(graph, artifact)}:
                found |= _with_same(graph, graph.upstream(artifact, run_id))
    for push in facts.all_pushes(graph):
        if push.model is not None:
            found |= _with_same(graph, [push.model, *graph.upstream(push.model, push.run_id)])
    # What the same nodes made beside it, such as the evaluation of a blessing.
    makers = {maker.id: maker for n in found if (maker := graph.maker(graph.artifacts[n]))}
    return found.union(*(_with_same(graph, graph.outputs(maker)) for maker in makers.values()))


def _passed(graph: Graph) -> set[int]:
    """Returns models that passed an evaluation, which TFX's resolvers look for."""
    found: set[int] = set()
    for blessing in graph.artifacts_of_type("ModelBlessing"):
        maker = graph.maker(blessing)
        if maker is not None and blessing.integer("blessed"):
            models = [given for given in graph.inputs(maker) if given.type == "Model"]
            found |= _with_same(graph, [blessing, *models])
    return found


def _decided(graph: Graph) -> set[int]:
    """Returns all decisions, what each was made from, and what the loop's own records name."""
    found: set[int] = set()
    for decision in graph.artifacts_of_type(type_names.RETRAIN_DECISION):
        found |= _with_same(graph, [decision])
        maker = graph.maker(decision)
        found |= _with_same(graph, graph.inputs(maker) if maker else [])
    for kind in ledger.ARTIFACT_TYPES:
        found |= {artifact.id for artifact in graph.artifacts_of_type(kind)}
    for kind in ledger.EXECUTION_TYPES:
        for execution in graph.of_type(kind):
            found |= _with_same(graph, graph.inputs(execution))
    return found


def _recorded(graph: Graph, bases: Sequence[str]) -> set[int]:
    """Returns what deployment records name by its URI."""
    pushed = {os.path.dirname(p.destination.rstrip("/")) for p in facts.all_pushes(graph)}
    named: set[str] = set()
    records = [find_record(base) for base in bases]
    for base, record in zip(bases, records, strict=True):
        if record is None:
            raise DataError(
                f"Expected a deployment record in the base path {base}, found none. Correct "
                "--record: what a record names is kept."
            )
    for base in pushed - {"", *bases}:
        # What was pushed to a bucket or another machine is known by its push.
        with contextlib.suppress(LoopError, OSError):
            records.append(find_record(base))
    for record in records:
        for version in record.versions if record else ():
            named |= {
                place(uri) for uri in (version.model_uri, version.reference_profile_uri) if uri
            }
    return {a.id for a in graph.artifacts.values() if a.uri and place(a.uri) in named}


def _under_way(graph: Graph) -> set[str]:
    open_runs = {
        lease.text("run_id")
        for lease in graph.artifacts_of_type(ledger.LEASE)
        if lease.text("end") == "OPEN"
    }
    running = {e.run_id for e in graph.executions.values() if e.run_id and e.state not in _ENDED}
    return open_runs | running


def _newest(graph: Graph, keep: int) -> set[str]:
    """Returns the newest runs of each kind; runs that begin with the same node are of one kind."""
    first: dict[str, Execution] = {}
    for _, execution in sorted(graph.executions.items()):
        if execution.run_id:
            first.setdefault(execution.run_id, execution)
    kinds: dict[str, list[str]] = defaultdict(list)
    for run_id, execution in first.items():
        kinds[execution.node].append(run_id)
    # By kind, or the many monitoring runs would push the few trainings out.
    return {run_id for runs in kinds.values() for run_id in runs[-keep:]}


def _of_runs(graph: Graph, runs: Collection[str]) -> set[int]:
    """Returns what runs made and read."""
    found: set[int] = set()
    for execution in graph.executions.values():
        if execution.run_id in runs:
            found |= _with_same(graph, [*graph.outputs(execution), *graph.inputs(execution)])
    return found


def _young(graph: Graph, since_ms: float) -> set[int]:
    return {
        a.id for a in graph.artifacts.values() if max(a.created_at_ms, a.updated_at_ms) >= since_ms
    }


def _with_same(graph: Graph, artifacts: Iterable[Artifact]) -> set[int]:
    return {same.id for one in artifacts for same in graph.same(one)}


def _run_of(graph: Graph, artifact: Artifact) -> str:
    maker = graph.maker(artifact)
    return maker.run_id if maker else ""


def _is_own_folder(artifact: Artifact, maker: Execution, kept: Collection[str]) -> bool:
    """Says whether files are what one node wrote for itself: TFX names the folder by the execution.

    A folder that holds, or lies in, something that stays is left alone.
    """
    if not artifact.uri or not is_reachable(artifact.uri):
        return False
    own = place(artifact.uri)
    if own.rpartition("/")[2] != str(maker.id):
        return False
    return not any(
        other == own or other.startswith(f"{own}/") or own.startswith(f"{other}/") for other in kept
    )


def _removable(artifact: Artifact, maker: Execution, size: int) -> Removable:
    failed = maker.state == "FAILED"
    return Removable(
        artifact_id=artifact.id,
        type=artifact.type.rpartition(".")[2],
        node=maker.node,
        run_id=maker.run_id,
        folder=place(artifact.uri),
        bytes=size,
        why=FAILED_RUN if failed else LED_NOWHERE,
    )
