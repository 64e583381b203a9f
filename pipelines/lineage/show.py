"""Explanations and timelines as text, and as JSON."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.pipelines.lineage.explain import (
    BaselineComparison,
    Explanation,
    OptimizationSummary,
    SkewSummary,
)
from tfx_loop.pipelines.lineage.facts import DecisionFact, was_done
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
    lines += _entry("served", [_served(e)])
    lines += _entry("trained on", [*_data(e), f"run {e.run_id}", f"model {e.model_uri}"])
    if e.optimised:
        lines += _entry("optimised", [_optimised(step) for step in e.optimised])
    lines += _entry("skew", [_skew(e.skew)]) if e.skew else []
    lines += _entry("why", _why(e.why))
    lines += _entry("beat", _beat(e.contest))
    lines += _entry("since then", _since(e.decided_since))
    return "\n".join(lines)


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
    if event.loop_clock_ms and abs(event.loop_clock_ms - event.at_ms) > 86_400_000:
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
    windows = [fact.window for fact in e.decided_since]
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
        return ["no decision asked for it: a person started the training"]
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


def _beat(contest: BaselineComparison) -> list[str]:
    if contest.baseline_version:
        beaten = f"version {contest.baseline_version}"
    elif contest.baseline_is_parent:
        beaten = f"the model that it was made from ({contest.baseline_uri})"
    elif contest.baseline_uri:
        beaten = f"a model that was never pushed ({contest.baseline_uri})"
    else:
        beaten = "nothing: there was no champion"
    passed = {None: "", True: "; the evaluation passed it", False: "; the evaluation refused it"}
    lines = [beaten + passed[contest.blessed]]
    if contest.metrics:
        lines.append(", ".join(_metrics(contest.metrics)))
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


def _since(decided: Sequence[DecisionFact]) -> list[str]:
    if not decided:
        return ["no window was judged with it"]
    return [f"{fact.window} {_decision(fact)}" for fact in decided]


def _decision(fact: DecisionFact) -> str:
    said = f"{fact.verdict} ({fact.reason}), avoidable loss {fact.avoidable_loss:.4g}"
    if fact.verdict != "RETRAIN":
        return said
    if was_done(fact):
        came = f"version {fact.pushed_version}" if fact.pushed_version else "no version passed"
        return f"{said}: done, {came}"
    if fact.outcome:
        where = f" in {fact.outcome_node}" if fact.outcome_node else ""
        return f"{said}: not done, the training failed{where}: {fact.outcome_reason}"
    if fact.run_id:
        return f"{said}: under way, run {fact.run_id}"
    if fact.admission:
        return f"{said}: not done, held back: {fact.admission_reason}"
    return f"{said}: not done, nobody acted on it"
