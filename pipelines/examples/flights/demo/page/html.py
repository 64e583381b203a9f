"""The page of a run: a single file with styles and plots inside, no script, no network."""

from html import escape

from tfx_loop.pipelines.examples.flights.demo.page.formatting import duration, headline
from tfx_loop.pipelines.examples.flights.demo.page.report import POLICY_NAMES, RunReport
from tfx_loop.pipelines.examples.flights.demo.page.time_bars import time_bars
from tfx_loop.pipelines.examples.flights.demo.page.windows_table import windows_table
from tfx_loop.pipelines.pages.avoidable_loss_plot import avoidable_loss_plot
from tfx_loop.pipelines.pages.decision_strip import decision_strip
from tfx_loop.pipelines.pages.drift_map import drift_map
from tfx_loop.pipelines.pages.parts import STYLE, told_in_words
from tfx_loop.pipelines.pages.quality_plot import quality_plot
from tfx_loop.pipelines.pages.tables import versions_table
from tfx_loop.presentation.document import document, header, section, table

_UNDER = "under three policies"


def render_page(report: RunReport) -> str:
    """Returns the page of a run as one HTML document."""
    sections = [
        _quality(report),
        _decisions(report),
        _drift(report),
        _table(report),
        _versions(report),
        told_in_words(report.decisions),
        _timings(report),
        _explanation(report),
    ]
    return document(
        "tfx-loop: what the loop did",
        _header(report),
        sections,
        style=STYLE.read_text(encoding="utf-8"),
    )


def _header(report: RunReport) -> str:
    first, last = (report.windows[0].name, report.windows[-1].name) if report.windows else ("", "")
    facts = [
        ("windows", str(len(report.windows))),
        ("rows scored", f"{report.rows:,}"),
        ("trainings", _trainings(report)),
        ("log-loss gain recovered", _share(report, "log_loss")),
        ("AUC gain recovered", _share(report, "auc")),
        ("whole run", duration(report.seconds)),
    ]
    return header(f"tfx-loop · {first} to {last}", headline(report), facts)


def _trainings(report: RunReport) -> str:
    loop, always = report.trainings.get("loop"), report.trainings.get("every_window")
    return "-" if loop is None else f"{loop} of {always}"


def _share(report: RunReport, metric: str) -> str:
    share = report.gain_recovered.get(metric)
    return "-" if share is None else f"{share:.0%}".replace("%", "\u202f%")


def _quality(report: RunReport) -> str:
    return section(
        "Quality of the served model",
        "The same requests, answered under three policies that see only labels that had arrived. "
        "A shade ends where a new version takes over. Labels come one window late: what has none "
        "yet is a gap.",
        quality_plot(report.windows, "auc", "AUC", POLICY_NAMES, _UNDER),
        quality_plot(report.windows, "log_loss", "log loss", POLICY_NAMES, _UNDER),
    )


def _decisions(report: RunReport) -> str:
    names = [window.name for window in report.windows]
    return section(
        "Decisions",
        "What a retraining would have saved is measured in every window, as a share of the "
        "window's loss, and added up. The last counts twice, for the window whose labels are to "
        "come. Once the sum pays for a training, the loop retrains, if its operator allows.",
        avoidable_loss_plot(names, report.decisions),
        decision_strip(report.windows),
    )


def _drift(report: RunReport) -> str:
    return section(
        "Drift",
        "How far each feature moved from the data that the serving version was trained on. Drift "
        "explains; it does not retrain.",
        drift_map([window.name for window in report.windows], report.drift),
    )


def _table(report: RunReport) -> str:
    shown = windows_table(report.windows)
    return section("Window by window", "", table(shown.headings, shown.rows, shown.numbers))


def _versions(report: RunReport) -> str:
    shown = versions_table(report.decisions)
    if not shown.rows:
        return ""
    return section(
        "What other versions would have lost",
        "Each version that served before, asked the rows of a window once its labels came: what a "
        "push gained or lost, as a fact.",
        table(shown.headings, shown.rows, shown.numbers),
    )


def _timings(report: RunReport) -> str:
    if not report.timings:
        return ""
    total = duration(sum(seconds for _, seconds in report.timings))
    return section(f"Where {total} went", "", time_bars(report.timings))


def _explanation(report: RunReport) -> str:
    if not report.explanation:
        return ""
    return section("The last model, explained", "", f"<pre>{escape(report.explanation)}</pre>")
