"""Explanations and timelines as text, and as JSON."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from tfx_loop.contracts.retrain_decision import PROMISE_WAS_WRONG
from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.durations import MS_PER_DAY
from tfx_loop.pipelines.lineage.explanation import (
    BaselineComparison,
    Explanation,
    FaultSummary,
    OptimizationSummary,
    SkewSummary,
)
from tfx_loop.pipelines.lineage.facts import DecisionFact, RolloutFact, WindowFact, was_done
from tfx_loop.pipelines.lineage.timeline import TimelineEvent
from tfx_loop.presentation.terminal import TextTable

# Columns of a line of an explanation, and of the label before it.
_WIDTH = 100
_LABEL = 12


def iso(at_ms: int) -> str:
    """Returns a time as UTC in ISO 8601, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_explanation(explanation: Explanation) -> str:
    """Returns the explanation of a version as text, a paragraph a question."""
    e = explanation
    lines = [f"{e.model_name}, version {e.version}", ""]
    lines += _entry("pushed", [f"{iso(e.pushed_at_ms)} to {e.destination}", *_digest(e)])
    lines += _entry("push steps", map(_move, e.push_steps)) if e.push_steps else []
    lines += _entry("served", [_served(e)])
    lines += _entry("trained on", [*_data(e), *_runs(e), f"model {e.model_uri}"])
    if e.optimised:
        lines += _entry("optimised", [_optimised(step) for step in e.optimised])
    lines += _entry("faults", [_faults(e.faults)]) if e.faults else []
    lines += _entry("skew", [_skew(e.skew)]) if e.skew else []
    lines += _entry("promise", promise) if (promise := _promise(e)) else []
    lines += _entry("why", _why(e.why))
    lines += _entry("against", _against(e.contest))
    lines += _entry("gained", gained) if (gained := _gained(e)) else []
    lines += _entry("watched", map(_window, e.windows)) if e.windows else []
    lines += _entry("roll-out", map(_move, e.rollouts)) if e.rollouts else []
    lines += _entry("since then", _since(e))
    return "\n".join(lines)


def _move(fact: RolloutFact) -> str:
    return f"{iso(fact.at_ms)} {fact.action.replace('_', ' ')}: {fact.detail}"


def timeline_table(events: Sequence[TimelineEvent]) -> TextTable | str:
    """Returns a timeline, a line an event, or a sentence where there is none."""
    if not events:
        return "Nothing is recorded about this model."
    return TextTable(rows=[_event(event) for event in events])


def _event(event: TimelineEvent) -> tuple[str, ...]:
    about = f"v{event.version}" if event.version else ""
    decision = f" [decision {event.decision_id}]" if event.kind in ("DECIDED", "HELD") else ""
    clock = ""
    # A replay runs months in minutes: its own clock is told where it is more than a day off.
    if event.loop_clock_ms and abs(event.loop_clock_ms - event.at_ms) > MS_PER_DAY:
        clock = f" (the loop's clock: {iso(event.loop_clock_ms)})"
    return iso(event.at_ms), event.kind, event.window, about, f"{event.text}{decision}{clock}"


def _entry(label: str, texts: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for text in texts:
        lines += textwrap.wrap(
            text, _WIDTH - _LABEL - 2, break_long_words=False, break_on_hyphens=False
        ) or [""]
    head, *rest = lines or ["nothing is recorded"]
    return [f"  {label:<{_LABEL}}{head}", *(" " * (_LABEL + 2) + line for line in rest)]


def _digest(e: Explanation) -> list[str]:
    return [e.model_digest] if e.model_digest else []


def _served(e: Explanation) -> str:
    judged = [fact for fact in e.decided_since if fact.model_version == e.version]
    windows = [fact.window for fact in judged or e.windows]
    over = f"; judged on {windows[0]}" if windows else ""
    over += f" to {windows[-1]}" if len(windows) > 1 else ""
    before = f", in place of version {e.replaced}" if e.replaced else ""
    if e.served_until_ms is None:
        return f"since {iso(e.pushed_at_ms)}{before}, and serves now{over}"
    until = f"until {iso(e.served_until_ms)}, when version {e.replaced_by} came"
    return f"from {iso(e.pushed_at_ms)}{before}, {until}{over}"


def _data(e: Explanation) -> list[str]:
    if not e.trained_on:
        return ["no Examples are recorded"]
    return [
        f"spans {data.spans.replace(',', ', ')} ({data.uri})" if data.spans else data.uri
        for data in e.trained_on
    ]


def _optimised(step: OptimizationSummary) -> str:
    told = [f"{name} {_short(value)}" for name, value in step.facts.items() if value != ""]
    return f"{step.by}: {', '.join(told)}" if told else step.by


def _faults(faults: FaultSummary) -> str:
    return f"{faults.verdict} ({faults.reason}), {faults.findings} findings ({faults.uri})"


def _promise(e: Explanation) -> list[str]:
    """Tells in which windows the model lost more than its held-out rows promised, and no drift."""
    wrong = [
        fact.window
        for fact in e.decided_since
        if fact.model_version == e.version and fact.reason == PROMISE_WAS_WRONG
    ]
    if not wrong:
        return []
    return [f"was wrong by window {', '.join(wrong)}: it leaked, and a retraining would leak again"]


def _skew(skew: SkewSummary) -> str:
    where = f" in {skew.skewed_features} features ({skew.uri})" if skew.skewed_features else ""
    return (
        f"{skew.verdict} ({skew.reason}){where}: {skew.rows:,} rows as trained on and as served in "
        f"{skew.window}"
    )


def _short(value: Scalar) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def _why(fact: DecisionFact | None) -> list[str]:
    if fact is None:
        return ["no decision is on record: it was started by hand or by another program"]
    asked = (
        f"window {fact.window} said {fact.verdict} of version {fact.model_version} "
        f"({fact.reason}; avoidable loss {fact.avoidable_loss:.4g}, "
        f"accumulated {fact.accumulated:.4g}; decision {fact.decision_id})"
    )
    lines = [asked]
    if fact.explanation:
        lines.append(fact.explanation)
    if fact.approved_by:
        lines.append(f"approved by {fact.approved_by}")
    if fact.admission:
        times = f", started {fact.attempts} times" if fact.attempts > 1 else ""
        lines.append(
            f"the loop answered {fact.admission} ({fact.admission_reason}), launched once{times}"
        )
    return lines


def _against(contest: BaselineComparison) -> list[str]:
    if contest.baseline_version:
        other = f"version {contest.baseline_version}"
    elif contest.baseline_is_parent:
        other = f"the model that it was made from ({contest.baseline_uri})"
    elif contest.baseline_uri:
        other = f"a model that was never pushed ({contest.baseline_uri})"
    else:
        other = "nothing: there was no champion"
    passed = {None: "", True: "; the evaluation passed it", False: "; the evaluation refused it"}
    lines = [other + passed[contest.blessed]]
    if contest.compared:
        lines.append(f"row by row on rows held out of both {contest.compared}")
    if contest.metrics:
        lines.append(", ".join(_metrics(contest.metrics)))
    return lines


def _gained(e: Explanation) -> list[str]:
    """Returns what the version saved against the one that it replaced, once labels came."""
    lines = []
    for fact in e.decided_since:
        contest = fact.contest
        if contest is None or fact.model_version != e.version or contest.champion_loss <= 0:
            continue
        for other in (each for each in contest.versions if each.version == e.replaced):
            saved = -other.saving / contest.champion_loss
            error = other.standard_error / contest.champion_loss
            lines.append(
                f"{fact.label_window}: loses {contest.champion_loss:.4f}, where version "
                f"{other.version} would have lost {other.mean:.4f}: {saved:+.1%} of its loss saved "
                f"(standard error {error:.1%})"
            )
    if lines and e.why is not None:
        lines.insert(
            0, f"avoidable loss had promised {e.why.avoidable_loss:.1%} of a window's loss"
        )
    return lines


def _metrics(metrics: Mapping[str, float]) -> list[str]:
    """Returns such as "auc 0.71 (champion 0.69)"."""
    told = []
    for name, value in metrics.items():
        champion = metrics.get(f"champion_{name}")
        beside = f" (champion {champion:.4g})" if champion is not None else ""
        if not name.startswith("champion_"):
            told.append(f"{name} {value:.4g}{beside}")
    return sorted(told)


def _since(e: Explanation) -> list[str]:
    if e.decided_since:
        return [
            f"{fact.window} "
            + (f"about version {fact.model_version}: " if fact.model_version != e.version else "")
            + _decision(fact)
            for fact in e.decided_since
        ]
    return ["nothing was decided about it" if e.windows else "no window was judged with it"]


def _window(fact: WindowFact) -> str:
    counted = {"drifted": fact.drifted_features, "faulty": fact.faulty_features}
    features = "".join(f", {count} features {how}" for how, count in counted.items() if count)
    return f"{fact.window} {fact.verdict} ({fact.reason}): {fact.rows:,} rows{features}"


def _runs(e: Explanation) -> list[str]:
    if e.training_run_id == e.run_id:
        return [f"run {e.run_id}"]
    return [f"run {e.training_run_id}, pushed by run {e.run_id}"]


def _decision(fact: DecisionFact) -> str:
    said = f"{fact.verdict} ({fact.reason}), avoidable loss {fact.avoidable_loss:.4g}"
    if fact.returned_version:
        said += f": done, version {fact.returned_version} serves again"
    elif fact.reinstate:
        said += f": not done, version {fact.reinstate} was not let serve again"
    # A MODEL_FAULT or a REINSTATE may ask for a retraining, too; then the loop has answered it.
    if fact.verdict != "RETRAIN" and not fact.admission:
        return said
    if was_done(fact):
        why = f": {fact.refused_because}" if fact.refused_because else ""
        came = (
            f"version {fact.pushed_version}" if fact.pushed_version else f"no version passed{why}"
        )
        return f"{said}: done, {came}"
    if fact.outcome:
        where = f" in {fact.outcome_node}" if fact.outcome_node else ""
        return f"{said}: not done, the training failed{where}: {fact.outcome_reason}"
    if fact.run_id:
        return f"{said}: under way, run {fact.run_id}"
    if fact.admission:
        return f"{said}: not done, held back: {fact.admission_reason}"
    return f"{said}: not done, nobody acted on it"
