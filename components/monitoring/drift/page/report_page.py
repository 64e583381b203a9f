"""The page of a drift report: its sections and their order."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from tfx_loop.contracts.drift_report import (
    TOGETHER,
    DriftResult,
    DriftVerdict,
    FeatureDrift,
    PastWindow,
    moved_features,
    tested_features,
)
from tfx_loop.contracts.window_quality import EstimatedQuality, RealisedQuality
from tfx_loop.monitoring.drift.history import merged_history
from tfx_loop.monitoring.drift.page import formatting
from tfx_loop.monitoring.drift.page.cards import cards
from tfx_loop.monitoring.drift.page.quality_plots import against_held_out, over_windows
from tfx_loop.monitoring.drift.page.tables import all_features, before_and_now, held_back, made_with
from tfx_loop.presentation.document import document, header, section
from tfx_loop.presentation.heat_map import HeatCell, HeatColumn, heat_map

PAGE_FILE = "drift_report.html"
STYLE = Path(__file__).with_name("drift_page.css")
# An average over fewer windows says nothing of how far estimates are off.
_FEWEST_WINDOWS = 3
# Below it the sentence would read "up to 1.0 times as wide".
_WORTH_SAYING = 1.05
_WEIGHTS = " Weight is a feature's part of what the model loses when columns are shuffled."
_FEWEST_CARDS, _MOST_CARDS, _A_ROW = 6, 12, 3
_VERDICT_COLUMN = {
    "DRIFT": ("drift", "head alarm"),
    "DATA_FAULT": ("fault", "head fault"),
    "STABLE": ("stable", "head"),
    "NOT_ENOUGH_DATA": ("few rows", "head"),
}


def render(
    report: DriftResult,
    earlier: Sequence[DriftResult] = (),
    title: str = "",
) -> str:
    """Returns the page as one HTML file without scripts.

    Args:
        report: What the page is about.
        earlier: Reports on windows before, the oldest first; the report itself carries the last
            ones in few numbers.
        title: What was compared; model, version and window unless given.
    """
    what = title or _title(report)
    past = merged_history([*earlier, report])
    return document(
        f"{report.verdict.value}: {what}",
        header(what, formatting.headline(report), _facts(report)),
        [
            _warnings(report.warnings),
            _faults(report.features),
            _moved(report),
            _quality(report, past),
            before_and_now(report),
            _windows(past, report.model_name),
            _slices(report.features),
            _together(report.features),
            held_back(report),
            all_features(report),
            made_with(report),
        ],
        STYLE.read_text(encoding="utf-8"),
    )


def _title(report: DriftResult) -> str:
    version = f", version {report.model_version}" if report.model_version else ""
    return f"{report.model_name or 'model'}{version} · window {report.window}"


def _facts(report: DriftResult) -> list[tuple[str, str]]:
    whole = [f for f in report.features if not f.slice and f.feature != TOGETHER]
    moved, tested = moved_features(report.features), tested_features(report.features)
    # Of a file's rows; those of a log are counted as they are.
    weighed = not report.model_name and report.settings.get("roles", {}).get("weight")
    weighed = " of equal weight" if weighed else ""
    facts = [
        ("verdict", report.verdict.value.replace("_", " ")),
        (f"rows{weighed} now", f"{report.rows.current:,}"),
        (f"rows{weighed} of the reference", f"{report.rows.reference:,}"),
        ("drifted", f"{len(moved)} of {len(tested)}"),
        ("broken", str(sum(f.fault is not None for f in whole))),
    ]
    if report.rows.failed:
        facts.append(("answered with an error", f"{report.rows.failed:,}"))
    metrics = report.estimated.metrics if report.estimated else {}
    if first := next((name for name in formatting.METRICS if name in metrics), ""):
        facts.append((f"estimated {formatting.METRICS[first]}", f"{metrics[first].value:.3f}"))
    return facts


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    entries = "".join(f"<li>{escape(_sentence(text))}</li>" for text in warnings)
    return section("What to name", "", f'<ul class="notes">{entries}</ul>')


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _faults(features: Sequence[FeatureDrift]) -> str:
    broken = [f for f in features if f.fault]
    if not broken:
        return ""
    entries = "".join(
        f"<li><b>{escape(formatting.named(f))}</b> {escape(formatting.fault(f))}"
        f"{f': {escape(f.note)}' if f.note else ''} <code>{escape(f.fault or '')}</code></li>"
        for f in broken
    )
    lead = (
        "Broken data say nothing about the world. They hold retraining back until their source is "
        "fixed."
    )
    return section("What is broken", lead, f'<ul class="faults">{entries}</ul>')


def _moved(report: DriftResult) -> str:
    drawable = [f for f in report.features if not f.slice and f.feature != TOGETHER]
    drawn = {shape.feature for shape in report.shapes}
    drawable = [f for f in drawable if f.feature in drawn]
    if not drawable:
        return ""
    loud = sum(bool(f.fault) or f.drifted for f in drawable)
    # All that drifted or broke, in whole rows of the page.
    shown = min(_MOST_CARDS, max(_FEWEST_CARDS, _A_ROW * -(-loud // _A_ROW)))
    first = cards(drawable[:shown], report.shapes)
    rest = cards(drawable[shown:], report.shapes)
    more = f"{len(drawable) - shown} features that moved less"
    title = (
        "What moved" if report.verdict is not DriftVerdict.STABLE else "What moved most, if little"
    )
    return section(
        title,
        "Share of the rows by value, the largest effect first. Bars at the sides of a plot are "
        "what lies beyond its ends." + (_WEIGHTS if _weighed(report) else ""),
        '<p class="key"><span class="swatch then"></span>reference'
        '<span class="swatch now"></span>now</p>',
        first,
        f"<details><summary>{more}</summary>{rest}</details>" if rest else "",
    )


def _weighed(report: DriftResult) -> bool:
    return any(shape.importance is not None for shape in report.shapes)


def _quality(report: DriftResult, past: Sequence[PastWindow]) -> str:
    estimated, realised = report.estimated, report.realised
    body = []
    if estimated and estimated.metrics:
        same = realised if realised and realised.window == report.window else None
        body.append(against_held_out(estimated, same))
        notes = "".join(
            f"<li>{escape(note)}</li>" for note in [*estimated.unseen, *_wide(estimated)]
        )
        body.append(f'<ul class="notes">{notes}</ul>')
    auc = estimated.metrics.get("auc") if estimated else None
    body.append(over_windows(past, auc.reference if auc else None))
    if realised:
        body.append(f'<ul class="notes">{_with_labels(realised, past)}</ul>')
    if not any(body):
        return ""
    lead = "No score with labels at training time: nothing to estimate from."
    if estimated:
        lead = (
            f"From the scores of {estimated.rows:,} rows and what {estimated.held_out_rows:,} "
            "held-out rows said such scores mean; 95 % intervals of where labels would put them. "
            f"Answers are 1 above {estimated.threshold:g}."
        )
    return section("How good the answers are", lead, *body)


def _wide(estimated: EstimatedQuality) -> list[str]:
    factor = max(metric.factor for metric in estimated.metrics.values())
    if factor <= _WORTH_SAYING:
        return []
    return [
        f"Intervals are up to {factor:.1f} times as wide as chance alone makes them: what scores "
        "mean may have moved by as much since labels last told."
    ]


def _with_labels(realised: RealisedQuality, past: Sequence[PastWindow]) -> str:
    said = [f"{realised.window}: {realised.labelled_rows:,} rows have labels"]
    if realised.coverage is not None:
        said[0] += f", {formatting.share(realised.coverage)} of the window"
    if realised.delay_hours:
        delays = ", ".join(
            f"{n} {formatting.duration(hours)}" for n, hours in realised.delay_hours.items()
        )
        said[0] += f" (delay {delays})"
    if "auc" in realised.metrics:
        said[0] += f"; AUC {realised.metrics['auc']:.3f}"
        guess = next((w for w in past if w.window == realised.window), None)
        if guess and "auc" in guess.estimated:
            said[0] += f", estimated before as {guess.estimated['auc'][0]:.3f}"
    if realised.alarm_at_row is not None:
        said.append(
            f"The errors rose for sure: row {realised.alarm_at_row:,} of the labelled stream."
        )
    elif realised.evidence is not None:
        said.append(f"No rise of the errors is certain (evidence {realised.evidence:,.2g}).")
    return "".join(f"<li>{escape(line.rstrip('.'))}.</li>" for line in [*said, *_record(past)])


def _record(past: Sequence[PastWindow]) -> list[str]:
    """Says how well estimates did where labels came later: the best guide to this one."""
    both = [
        (window.estimated["auc"], window.realised["auc"])
        for window in past
        if "auc" in window.estimated and "auc" in window.realised
    ]
    if len(both) < _FEWEST_WINDOWS:
        return []
    off = sum(abs(value - real) for (value, *_), real in both) / len(both)
    inside = sum(low <= real <= high for (_, low, high, _), real in both)
    return [
        f"Where labels came later, estimated AUC was off by {off:.3f} on average; {inside} of "
        f"{len(both)} windows were inside the interval."
    ]


def _windows(past: Sequence[PastWindow], model_name: str) -> str:
    known = [window for window in past if window.verdict]
    # The only one would be the report's own, which the page shows above.
    if len(known) < 2:
        return ""
    columns = [
        HeatColumn(
            name=window.window,
            above=_VERDICT_COLUMN[window.verdict][0],
            kind=_VERDICT_COLUMN[window.verdict][1],
            cells={
                formatting.plain(feature): HeatCell(
                    psi=window.psi.get(feature),
                    drifted=feature in window.drifted,
                    fault=window.faults.get(feature, ""),
                )
                for feature in dict.fromkeys([*window.psi, *window.faults])
            },
        )
        for window in known
    ]
    of_version = " of the version that answered" if model_name else ""
    lead = f"Each against the reference{of_version}."
    return section("Window by window", lead, heat_map(columns, "Drift by feature and window"))


def _slices(features: Sequence[FeatureDrift]) -> str:
    names = list(dict.fromkeys(f.slice for f in features if f.slice))
    columns = [
        HeatColumn(
            name=name,
            cells={
                formatting.plain(f.feature): HeatCell(
                    psi=f.psi_corrected, drifted=f.drifted, fault=f.fault or ""
                )
                for f in features
                if f.slice == name
            },
        )
        for name in sorted(names)
    ]
    lead = "Each slice against the same slice of the reference."
    drawn = heat_map(columns, "Drift by feature and slice") if columns else ""
    return section("Slice by slice", lead, drawn) if drawn else ""


def _together(features: Sequence[FeatureDrift]) -> str:
    found = next((f for f in features if f.feature == TOGETHER), None)
    if found is None:
        return ""
    said = "moved together" if found.drifted else "did not move together beyond what matters"
    return section(
        "All features at once",
        f"The features {said} (q {formatting.chance(found.q_value)}): {found.note}.",
    )
