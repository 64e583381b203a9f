"""A report's numbers as text, for the terminal and the page."""

from tfx_loop.contracts.optimization_report import (
    Interval,
    ModelFacts,
    OptimizationResult,
    Rung,
    RungStatus,
    SliceResult,
)

NONE = "–"  # noqa: RUF001
OUTPUT_HEADINGS = ("output", "metric", "parent", "variant", "lost", "allowed", "moved", "at most")
_STATUS = {
    RungStatus.CHOSEN: "chosen",
    RungStatus.KEPT: "keeps to the budget",
    RungStatus.OVER_BUDGET: "over budget",
    RungStatus.FAILED: "failed",
    RungStatus.SKIPPED: "not tried",
}


def whole(value: int | None) -> str:
    """Returns a whole number with its thousands set apart; NONE for None."""
    return NONE if value is None else f"{value:,}"


def size_text(count: float) -> str:
    """Returns bytes in the unit that leaves three digits: `98.5 kB` (1,000 bytes)."""
    for unit, power in (("MB", 1e6), ("kB", 1e3)):
        if count >= power:
            value = count / power
            return f"{value:.{0 if value >= 100 else 1}f} {unit}"
    return f"{count:.0f} bytes"


def number(value: float | None, decimals: int = 4) -> str:
    """Returns a number with its decimals, large ones with commas and fewer decimals."""
    if value is None:
        return NONE
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{decimals if abs(value) < 100 else 1}f}"


def signed(value: float | None) -> str:
    """Returns a number with its sign; what rounds to zero has none."""
    if value is None:
        return NONE
    text = number(abs(value))
    return text if not text.strip("0.") else f"{'+' if value > 0 else '−'}{text}"  # noqa: RUF001


def between(shown: Interval | None) -> str:
    """Returns the bounds of an interval."""
    if shown is None or shown.low is None or shown.high is None:
        return NONE
    return f"{signed(shown.low)} to {signed(shown.high)}"


def times(before: float, after: float) -> str:
    """Returns by which factor `after` is smaller: `3.2 times`."""
    factor = before / after if after else float("inf")
    # From 99.5 on, where one decimal more would read as 100.0.
    return f"{factor:.0f} times" if factor >= 99.5 else f"{factor:.1f} times"


def gained_size(child: ModelFacts, parent: ModelFacts, baseline: ModelFacts | None) -> str:
    """Returns how much smaller a variant is than the parent as float .tflite, and as weights alone.

    The parent's own file is no measure: Keras keeps the optimizer's memory in it, twice the weights
    for Adam.
    """
    size = child.size.raw_bytes
    others = [("the parent as a float .tflite", baseline.size.raw_bytes if baseline else 0)]
    others.append(("its weights alone", parent.weight_bytes))
    # Below 1.05 the factor would be shown as "1.0 times smaller".
    smaller = [(name, times(other, size)) for name, other in others if other >= 1.05 * size > 0]
    if not smaller:
        same = next((f", {name} {size_text(other)}" for name, other in others if other), "")
        return f"{size_text(size)}{same}"
    (name, factor), *rest = smaller
    more = "".join(f" ({factor} than {name})" for name, factor in rest)
    return f"{factor} smaller than {name}{more}"


def milliseconds(value: float) -> str:
    """Returns a time with two or three digits."""
    if value >= 100:
        return f"{value:.0f} ms"
    return f"{value:.{1 if value >= 10 else 2 if value >= 1 else 3}f} ms"


def percent(value: float | None, decimals: int = 1) -> str:
    """Returns a fraction as a percentage."""
    return NONE if value is None else f"{100 * value:.{decimals}f} %"


def status_text(rung: Rung) -> str:
    """Returns what became of a rung."""
    return _STATUS[rung.status]


def p50(facts: ModelFacts, batch_size: int = 1) -> float | None:
    """Returns the median of a call in milliseconds; None when it was not measured."""
    found = [x.p50_ms for x in facts.latency if x.batch_size == batch_size]
    return found[0] if found else None


def metric_word(name: str) -> str:
    """Returns what people call a metric: both kinds of accuracy are `accuracy`."""
    return "accuracy" if name in ("BinaryAccuracy", "SparseCategoricalAccuracy") else name


def facts_of(report: OptimizationResult) -> list[tuple[str, str]]:
    """Returns (name, value) of the few numbers that a reader wants first."""
    parent, child, told = report.parent, report.child, []
    told.append(("Verdict", report.verdict.value.replace("_", " ")))
    if child is None:
        told.append(("Size of the model", size_text(parent.size.raw_bytes)))
    else:
        before = report.baseline or parent
        sizes = [size_text(x.size.raw_bytes) for x in (before, child)]
        told.append((f"Size, from {_called(report)}", " → ".join(sizes)))
        if parent.weight_bytes:
            told.append(("Weights of the parent", size_text(parent.weight_bytes)))
    if report.overall is not None and report.metric is not None:
        told.append(
            (f"Loss of {metric_word(report.metric.name)}", signed(report.overall.drop.value))
        )
    if report.parity is not None and report.parity.top_class_agreement is not None:
        told.append(("Same answer", percent(report.parity.top_class_agreement)))
    time, after = p50(report.baseline or parent), p50(child) if child else None
    if time and after:
        told.append(
            (f"One call, from {_called(report)}", f"{milliseconds(time)} → {milliseconds(after)}")
        )
    return told


def models_of(report: OptimizationResult) -> list[tuple[str, ModelFacts]]:
    """Returns the models that are compared: parent, the same as a float .tflite, and the child."""
    found = (("parent", report.parent), ("baseline", report.baseline), ("child", report.child))
    return [(name, facts) for name, facts in found if facts is not None]


def outputs_of(report: OptimizationResult) -> list[tuple[str, ...]]:
    """Returns a row for each output of a model with several, below `OUTPUT_HEADINGS`."""
    rows = []
    for one in report.outputs:
        part = one.overall
        rows.append(
            (
                one.output,
                metric_word(one.metric.name) if one.metric else "no budget",
                *((number(x.value) if x else NONE) for x in _pair(part)),
                signed(part.drop.value) if part else NONE,
                number(part.limit) if part else NONE,
                number(one.parity.mean_difference),
                number(one.parity.max_difference),
            )
        )
    return rows


def _pair(part: SliceResult | None) -> tuple[Interval | None, Interval | None]:
    return (part.parent, part.child) if part else (None, None)


def _called(report: OptimizationResult) -> str:
    return "float .tflite" if report.baseline else "parent"
