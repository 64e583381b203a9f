"""The page over all windows of a model, and the index over models: no script, no network."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape

from tfx_loop.pipelines.lineage.show import iso, timeline_table
from tfx_loop.pipelines.pages.avoidable_loss_plot import avoidable_loss_plot
from tfx_loop.pipelines.pages.content import WindowResult
from tfx_loop.pipelines.pages.decision_strip import decision_strip
from tfx_loop.pipelines.pages.drift_map import drift_map
from tfx_loop.pipelines.pages.model_report import ESTIMATED, MEASURED, ModelReport
from tfx_loop.pipelines.pages.parts import STYLE, told_in_words
from tfx_loop.pipelines.pages.quality_plot import quality_plot
from tfx_loop.pipelines.pages.tables import few_features, versions_table
from tfx_loop.presentation.document import document, header, section, table

LINES = {MEASURED: "measured", ESTIMATED: "estimated"}
# As many columns as letters can be read in; older windows stand in the table.
PLOTTED = 12
_METRICS = 4
_EVENTS = 40


def file_name(model_name: str) -> str:
    """Returns the name of a model's page; two models never share one."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", model_name)
    if plain == model_name and plain.lower() != "index":
        return f"{plain}.html"
    return f"{plain}-{hashlib.sha256(model_name.encode()).hexdigest()[:8]}.html"


def render_model_page(report: ModelReport, made: str) -> str:
    """Returns the page of a model as one HTML document; `made` says when, and of which store."""
    shown = report.windows[-PLOTTED:]
    decided = report.decisions[-PLOTTED:]
    sections = [
        _quality(shown),
        _decisions(shown, report),
        _drift(shown, report) if report.drift else "",
        _versions(report),
        _windows(report.windows),
        _other_versions(report),
        told_in_words(decided),
        _timeline(report),
        _explanation(report),
        '<p class="kicker"><a href="index.html">all models</a></p>',
    ]
    return document(
        f"{report.model_name}: tfx-loop",
        _header(report, made),
        sections,
        style=STYLE.read_text(encoding="utf-8"),
    )


def render_index(reports: Sequence[ModelReport], made: str) -> str:
    """Returns the index over models."""
    headings = ("model", "version", "windows", "last window", "decision", "reason", "versions")
    rows = "".join(
        f'<tr><td><a href="{escape(file_name(r.model_name))}">{escape(r.model_name)}</a></td>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in _index_cells(r))
        + "</tr>"
        for r in reports
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in headings)
    count = f"{len(reports)} model{'' if len(reports) == 1 else 's'}"
    inside = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    body = f'<div class="wide"><table>{inside}</table></div>'
    return document(
        "tfx-loop: all models",
        header(f"tfx-loop · {made}", count, []),
        [section("Models", "" if reports else "No model was pushed or decided on yet.", body)],
        style=STYLE.read_text(encoding="utf-8"),
    )


def _index_cells(report: ModelReport) -> tuple[str, ...]:
    last = report.windows[-1] if report.windows else None
    return (
        str(report.serving or "-"),
        str(len(report.windows)),
        last.name if last else "-",
        last.verdict if last else "-",
        last.reason.replace("_", " ") if last else "-",
        str(len(report.versions)),
    )


def _header(report: ModelReport, made: str) -> str:
    asked = [fact for fact in report.facts if fact.admission or fact.verdict == "RETRAIN"]
    trained = [fact for fact in report.facts if fact.outcome]
    waiting = [fact for fact in report.facts if fact.admission_reason == "approval_needed"
               and not fact.approved_by]  # fmt: skip
    facts = [
        ("newest version", str(report.serving or "-")),
        ("windows", str(len(report.windows))),
        ("asked to retrain", str(len(asked))),
        ("trainings", str(len(trained))),
        ("waiting for a person", str(len(waiting))),
    ]
    return header(f"tfx-loop · {made}", _headline(report), facts)


def _headline(report: ModelReport) -> str:
    if not report.windows:
        return f"{report.model_name}: version {report.serving} serves, and no window was judged yet"
    last = report.windows[-1]
    serving = f"version {report.serving} serves" if report.serving else "nothing was pushed"
    said = f"{last.verdict} ({last.reason.replace('_', ' ')})"
    # A window's name is not to break at its hyphens.
    window = last.name.replace("-", "\u2011")
    return f"{report.model_name}: {serving}; window {window} said {said}"


def _quality(windows: Sequence[WindowResult]) -> str:
    metrics = _metrics(windows)
    if not metrics:
        return ""
    return section(
        "Quality of the served model",
        "Measured once a window's labels came, and estimated from its scores before. A shade ends "
        "where a new version takes over; what has no labels yet is a gap.",
        *(quality_plot(windows, name, name.replace("_", " "), LINES) for name in metrics),
    )


def _metrics(windows: Sequence[WindowResult]) -> list[str]:
    """Returns the metrics to plot, those that were measured first."""
    count: dict[str, tuple[int, int]] = {}
    for window in windows:
        for name, lines in window.quality.items():
            measured, all_ = count.get(name, (0, 0))
            there = [line for line, value in lines.items() if value is not None]
            count[name] = (measured + (MEASURED in there), all_ + len(there))
    known = [name for name, (_, all_) in count.items() if all_]
    return sorted(known, key=lambda name: (-count[name][0], -count[name][1], name))[:_METRICS]


def _decisions(windows: Sequence[WindowResult], report: ModelReport) -> str:
    if not windows:
        return ""
    names = [window.name for window in windows]
    decided = [one for one in report.decisions if one.window in set(names)]
    return section(
        "Decisions",
        "What a retraining would have saved, as a share of a window's loss, added up until it pays "
        "for a training; and what the loop answered.",
        avoidable_loss_plot(names, decided),
        decision_strip(windows),
    )


def _drift(windows: Sequence[WindowResult], report: ModelReport) -> str:
    return section(
        "Drift",
        "How far each feature moved from the data that the serving version was trained on.",
        drift_map([window.name for window in windows], report.drift),
    )


def _versions(report: ModelReport) -> str:
    if not report.versions:
        return ""
    why = {fact.pushed_version: fact for fact in report.facts if fact.pushed_version}
    rows = [
        (
            str(push.version),
            iso(push.pushed_at_ms),
            str(push.replaced or "-"),
            f"window {why[push.version].window}" if push.version in why else "by hand",
            push.model_digest.removeprefix("sha256:")[:12],
            push.run_id,
        )
        for push in reversed(report.versions)
    ]
    headings = ("version", "pushed", "replaced", "why", "digest", "run")
    return section("Versions", "", table(headings, rows, ("version", "replaced")))


def _windows(windows: Sequence[WindowResult]) -> str:
    if not windows:
        return ""
    metrics = _metrics(windows)
    rows = [
        (
            w.name,
            f"{w.rows:,}",
            *(_value(w.quality.get(name, {})) for name in metrics),
            few_features(w.drifted),
            w.verdict or "-",
            w.reason or "-",
            str(w.version or "-"),
        )
        for w in reversed(windows)
    ]
    headings = ("window", "rows", *metrics, "drifted", "decision", "reason", "version")
    numbers = ("rows", *metrics, "version")
    lead = "Newest first. ~ is estimated: no labels have come."
    return section("Window by window", lead, table(headings, rows, numbers))


def _value(lines: Mapping[str, float | None]) -> str:
    measured, estimated = lines.get(MEASURED), lines.get(ESTIMATED)
    if measured is not None:
        return f"{measured:.4f}"
    return "-" if estimated is None else f"~{estimated:.4f}"


def _other_versions(report: ModelReport) -> str:
    shown = versions_table(report.decisions)
    if not shown.rows:
        return ""
    return section(
        "What other versions would have lost",
        "Each version that served before, asked the rows of a window once its labels came.",
        table(shown.headings, shown.rows, shown.numbers),
    )


def _timeline(report: ModelReport) -> str:
    shown = timeline_table(report.events[-_EVENTS:])
    if isinstance(shown, str):
        return ""
    headings = ("recorded", "event", "window", "about", "what")
    return section("What happened", "Oldest first.", table(headings, shown.rows))


def _explanation(report: ModelReport) -> str:
    if not report.explanation:
        return ""
    return section("The newest version, explained", "", f"<pre>{escape(report.explanation)}</pre>")
