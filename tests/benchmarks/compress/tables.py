"""The measurements as Markdown tables."""

from collections.abc import Iterator, Sequence

from tests.benchmarks.compress.conditions import CONDITIONS
from tests.benchmarks.compress.counting import (
    Case,
    Loss,
    Policy,
    fixed_policy,
    measured_policy,
    search_policy,
)
from tests.benchmarks.compress.published import (
    PUBLISHED,
    RESNET8_FLOAT_BYTES,
    RESNET8_INT8_BYTES,
)
from tests.benchmarks.compress.techniques import FLOAT, TechniqueCost

# With fewer, one row is more than half of the smallest budget.
TELLING_ROWS = 10_000


def tabulate(measured: Sequence[TechniqueCost], cases: Sequence[Case]) -> str:
    """Returns all tables."""
    parts = []
    if measured:
        parts += ["## Techniques", *_techniques(measured), *_published(measured)]
    if cases:
        parts += ["## Budget", *_summary(cases), *_policies(cases), *_conditions(cases)]
        parts += [*_passed_over(cases), *_all(cases)]
    return "\n".join(parts) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Returns a Markdown table and an empty line."""
    lines = [headings, ["---"] * len(headings), *rows]
    return ["", *("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines), ""]


def _techniques(measured: Sequence[TechniqueCost]) -> Iterator[str]:
    for network in dict.fromkeys(one.network for one in measured):
        rows = [one for one in measured if one.network == network]
        base = next(one for one in rows if one.technique == FLOAT)
        yield f"### {network}: {base.metric} {base.parent_metric:.4f} on {base.rows:,} rows"
        yield from table(
            [
                "technique",
                "bytes",
                "times smaller",
                "zipped",
                "times smaller zipped",
                "drop (95 % interval)",
                "latency, batch 1",
                "zeros",
                "made in",
            ],
            [
                [
                    one.technique,
                    f"{one.raw_bytes:,}",
                    f"{base.raw_bytes / one.raw_bytes:.2f}",
                    f"{one.zipped_bytes:,}",
                    f"{base.zipped_bytes / one.zipped_bytes:.2f}",
                    f"{one.drop:+.4f} ({one.low:+.4f} to {one.high:+.4f})",
                    f"{one.latency_ms / base.latency_ms:.2f}x",
                    f"{one.sparsity:.1%}",
                    f"{one.seconds:.0f} s",
                ]
                for one in rows
            ],
        )
        yield f"Latency beside {base.latency_ms:.3f} ms of the first row; {base.runtime}."
        yield ""


def _published(measured: Sequence[TechniqueCost]) -> Iterator[str]:
    yield "### Published figures for the same techniques (not measured here, other data)"
    yield from table(
        ["technique", "network", "figure", "source"],
        [[one.technique, one.network, one.figure, one.source] for one in PUBLISHED],
    )
    ours = {one.technique: one.raw_bytes for one in measured if one.network == "ResNet-8"}
    if FLOAT in ours and "int8" in ours:
        float_bytes, int8_bytes = ours[FLOAT], ours["int8"]
        yield (
            f"Our ResNet-8 beside MLPerf Tiny's: float {float_bytes:,} bytes "
            f"({float_bytes - RESNET8_FLOAT_BYTES:+,}), int8 {int8_bytes:,} bytes "
            f"({int8_bytes - RESNET8_INT8_BYTES:+,}), {float_bytes / int8_bytes:.2f} times smaller "
            f"beside {RESNET8_FLOAT_BYTES / RESNET8_INT8_BYTES:.2f}."
        )
        yield ""


def _summary(cases: Sequence[Case]) -> Iterator[str]:
    groups = {
        "all": list(cases),
        f"at least {TELLING_ROWS:,} reporting rows": [
            c for c in cases if c.reporting_rows >= TELLING_ROWS
        ],
        "fewer": [c for c in cases if c.reporting_rows < TELLING_ROWS],
    }
    yield from table(
        [
            "reporting rows",
            "searches",
            "kept",
            "certainly not kept",
            "passed over, certain",
            "of these, choosing rows within too",
            "passed over on paper",
        ],
        [
            [
                name,
                len(group),
                f"{sum(c.kept for c in group)} ({sum(c.kept for c in group) / len(group):.1%})",
                sum(c.refuted for c in group),
                _rungs([c.certain for c in group]),
                _rungs([c.against_the_evidence for c in group]),
                _rungs([c.on_paper for c in group]),
            ]
            for name, group in groups.items()
            if group
        ],
    )


def _policies(cases: Sequence[Case]) -> Iterator[str]:
    yield "### Beside what a user would do without a search"
    for title, group in (
        ("All searches", list(cases)),
        (
            f"Where at least {TELLING_ROWS:,} rows report",
            [c for c in cases if c.reporting_rows >= TELLING_ROWS],
        ),
    ):
        if not group:
            continue
        yield f"{title}:"
        policies: list[Policy] = [
            search_policy(group),
            measured_policy("smallest whose measured drop is in the budget", group),
            fixed_policy("always int8", "int8", group),
            fixed_policy("always dynamic range (Optimize.DEFAULT)", "dynamic_range", group),
            fixed_policy("always float16", "float16", group),
        ]
        yield from table(
            ["policy", "kept", "certainly not kept", "mean size", "smaller one passed over"],
            [
                [
                    p.name,
                    f"{p.kept} of {p.cases} ({p.kept / p.cases:.0%})",
                    p.refuted,
                    f"{p.size_share:.0%} of float",
                    p.passed_over,
                ]
                for p in policies
            ],
        )


def _conditions(cases: Sequence[Case]) -> Iterator[str]:
    yield "### By condition"
    hard = {condition.name: condition.hard for condition in CONDITIONS}
    rows = []
    for name in dict.fromkeys(case.condition for case in cases):
        group = [case for case in cases if case.condition == name]
        int8 = [r.drop for c in group for r in c.rungs if r.mode == "int8"]
        chosen = [c.chosen.mode if c.chosen else "nothing" for c in group]
        taken = ", ".join(f"{chosen.count(mode)} {mode}" for mode in dict.fromkeys(chosen))
        rows.append(
            [
                name,
                hard.get(name, ""),
                f"{group[0].reporting_rows:,}",
                f"{min(int8):+.4f} to {max(int8):+.4f}" if int8 else "",
                taken,
                f"{sum(c.kept for c in group)} of {len(group)}",
                sum(bool(c.certain) for c in group),
                sum(bool(c.on_paper) for c in group),
            ]
        )
    yield from table(
        [
            "condition",
            "what is hard",
            "reporting rows",
            "int8 loses there",
            "chosen",
            "kept",
            "passed over, certain",
            "on paper",
        ],
        rows,
    )


def _passed_over(cases: Sequence[Case]) -> Iterator[str]:
    yield "### What was passed over, and what was not kept"
    rows = []
    for case in cases:
        size = case.chosen.raw_bytes if case.chosen else case.parent_bytes
        if not case.kept and case.chosen:
            loss = case.chosen
            verdict = "NOT KEPT" + (", certain" if case.refuted else ", by point value")
            rows.append([*_where(case), loss.mode, *_lost(loss), loss.reason, "", verdict])
        for rung in case.on_paper:
            certain = rung in case.certain
            rows.append(
                [
                    *_where(case),
                    rung.mode,
                    *_lost(rung),
                    rung.reason,
                    f"{1 - rung.raw_bytes / size:.0%}",
                    "passed over, " + ("certain" if certain else "on paper"),
                ]
            )
    yield from table(
        [
            "condition",
            "seed",
            "budget",
            "rung",
            "drop on reporting rows (90 % interval)",
            "drop on choosing rows",
            "search said",
            "would save",
            "verdict",
        ],
        rows,
    )


def _all(cases: Sequence[Case]) -> Iterator[str]:
    yield "### All searches"
    yield from table(
        [
            "condition",
            "seed",
            "budget",
            "metric of float",
            "chosen",
            "of float's bytes",
            "drop on reporting rows (90 % interval)",
            "drop on choosing rows",
            "kept",
            "search took",
        ],
        [
            [
                *_where(case),
                f"{case.parent_metric:.4f}",
                (case.chosen.mode if case.chosen else "nothing")
                + (f", {len(case.float_layers)} in float" if case.float_layers else ""),
                f"{case.size_share:.0%}",
                *(_lost(case.chosen) if case.chosen else ("", "")),
                "yes" if case.kept else "NO",
                f"{case.seconds:.0f} s",
            ]
            for case in cases
        ],
    )


def _rungs(found: Sequence[Sequence[Loss]]) -> str:
    return f"{sum(map(len, found))} rungs in {sum(map(bool, found))} searches"


def _where(case: Case) -> list[object]:
    return [case.condition, case.seed, f"{case.budget:g}"]


def _lost(loss: Loss) -> tuple[str, str]:
    return (
        f"{loss.drop:+.5f} ({loss.low:+.5f} to {loss.high:+.5f})",
        f"{loss.choosing_drop:+.5f}",
    )
