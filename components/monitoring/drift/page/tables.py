"""Tables of a drift report: the numbers behind the pictures, and what it was made with."""

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_loop.contracts.drift_report import TOGETHER, DriftResult, FeatureDrift
from tfx_loop.monitoring.drift.changes import told_changes
from tfx_loop.monitoring.drift.page import formatting
from tfx_loop.presentation.document import section, table


def held_back(report: DriftResult) -> str:
    """Returns what differed for sure and raised no alarm, and by which rule."""
    held = [f for f in report.features if f.held_by and not f.drifted]
    if not held:
        return ""
    floors = report.settings.get("season_floors") or {}
    parts = [
        _held_table([f for f in held if bool(f.slice) is sliced], floors)
        for sliced in (False, True)
    ]
    if parts[1]:
        count = sum(bool(f.slice) for f in held)
        parts[1] = f"<details><summary>{count} in slices</summary>{parts[1]}</details>"
    return section("What was held back", "Real differences, and no alarm.", "".join(parts))


def _held_table(held: Sequence[FeatureDrift], floors: Mapping[str, float]) -> str:
    rows = [
        (
            formatting.named(f),
            formatting.number(f.effect),
            formatting.number(f.psi_bound),
            formatting.number(floors.get(f.title, floors.get(f.feature))),
            formatting.chance(f.q_value),
            formatting.held(f),
        )
        for f in held
    ]
    heads = ("feature", "PSI", "at most", "usual up to", "q", "rule")
    return table(heads, rows, heads[1:5]) if rows else ""


def before_and_now(report: DriftResult) -> str:
    """Returns the numbers of each feature on both sides, those that moved most first."""
    rows = [
        (formatting.named(f), told, before, now)
        for f in report.features
        if f.change
        for told, before, now in told_changes(f.change)
    ]
    if not rows:
        return ""
    heads = ("feature", "", "reference", "now")
    shown = [
        (name if place == 0 or rows[place - 1][0] != name else "", *cells)
        for place, (name, *cells) in enumerate(rows)
    ]
    body = table(heads, shown, heads[2:])
    return section(
        "Before and now",
        "",
        f"<details><summary>Means, quantiles, ranges and categories</summary>{body}</details>",
    )


def all_features(report: DriftResult) -> str:
    """Returns every number of every feature and slice."""
    heads = (
        *("feature", "type", "PSI", "at most", "KS", "Jensen-Shannon", "Wasserstein"),
        *("p", "q", "missing", ""),
    )
    rows: list[tuple[str, ...]] = [
        (
            formatting.named(f),
            f.type,
            formatting.number(f.effect),
            formatting.number(f.psi_bound),
            formatting.number(f.ks),
            formatting.number(f.js),
            formatting.number(f.wasserstein, ".3g"),
            formatting.chance(f.p_value),
            formatting.chance(f.q_value),
            "" if f.missing_share is None else formatting.share(f.missing_share),
            _said(f),
        )
        for f in report.features
        if f.feature != TOGETHER
    ]
    rows += [
        (name, "", *([""] * 8), reason.replace("_", " ")) for name, reason in report.skipped.items()
    ]
    if not rows:
        return ""
    body = table(heads, rows, heads[2:10])
    return section(
        "All numbers",
        "",
        f"<details><summary>{len(rows)} features and slices</summary>{body}</details>",
    )


def _said(feature: FeatureDrift) -> str:
    if feature.fault:
        return feature.fault.replace("_", " ")
    if feature.drifted:
        return "drift"
    return (feature.held_by or "").replace("_", " ") or feature.note


def made_with(report: DriftResult) -> str:
    """Returns settings and reference."""
    pairs = [*_flat(report.settings), ("reason", report.reason)]
    pairs += [(f"rows of version {v}", f"{rows:,}") for v, rows in report.model_versions.items()]
    if report.reference_digest:
        pairs.append(("reference", report.reference_digest))
    body = table(("setting", "value"), [(name, value) for name, value in pairs if value])
    return section(
        "Made with", "", f"<details><summary>Settings and reference</summary>{body}</details>"
    )


def _flat(settings: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{before}{name}.")
        else:
            said = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            pairs.append((f"{before}{name}", said))
    return pairs
