"""Tables of many outcomes."""

import pandas as pd

from tests.benchmarks.decide.experiment import HINDSIGHT, LOSS_RULES, OURS, WITHOUT, Outcome

POLICIES = (
    "never",
    "always",
    "every 2nd",
    "every 3rd",
    *LOSS_RULES,
    "drift rule",
    WITHOUT,
    OURS,
    HINDSIGHT,
)
KINDS = ("sudden", "gradual", "recurring", "none", "harder", "hungry", "taxi", "flights")


def tabulate(outcomes: list[Outcome]) -> str:
    """Returns Markdown: one table a training cost, then trainings without drift, then streams."""
    table = pd.DataFrame([outcome.to_json() for outcome in outcomes])
    costs = sorted(table["training_cost"].unique())
    parts = [_cost_table(table, cost) for cost in costs]
    parts.append(_verdicts(table, costs))
    parts += [_stream_table(table, cost) for cost in costs]
    return "\n\n".join(parts) + "\n"


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Returns means over the seeds of a stream, so that all streams weigh alike."""
    grouped = table.groupby(["policy", "kind", "stream"])[["total", "trainings", "loss"]]
    return grouped.mean().reset_index()


def _cost_table(table: pd.DataFrame, cost: float) -> str:
    by_stream = averages(table[table["training_cost"] == cost])
    kinds = [kind for kind in KINDS if kind in set(by_stream["kind"])]
    lines = [
        f"### A training costs {cost:g} of a window's loss",
        "Total cost in windows' losses (trainings), the mean over seeds and then streams.",
        "",
        "| policy | " + " | ".join(kinds) + " | **all streams** |",
        "|---|" + "---|" * (len(kinds) + 1),
    ]
    for policy in POLICIES:
        rows = by_stream[by_stream["policy"] == policy]
        cells = [_cell(rows[rows["kind"] == kind]) for kind in kinds]
        lines.append(f"| {policy} | " + " | ".join(cells) + f" | **{_cell(rows)}** |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame) -> str:
    return f"{rows['total'].mean():.3f} ({rows['trainings'].mean():.1f})"


def _verdicts(table: pd.DataFrame, costs: list[float]) -> str:
    lines = ["### What holds", ""]
    for cost in costs:
        at_cost = table[table["training_cost"] == cost]
        means = averages(at_cost).groupby("policy")["total"].mean().drop(HINDSIGHT).sort_values()
        peer = means.drop(OURS).index[0]
        gap = means[peer] - means[OURS]
        word = "cheapest" if gap > 0 else "NOT the cheapest"
        quiet = at_cost[(at_cost["policy"] == OURS) & (at_cost["kind"] == "none")]["trainings"]
        error = _gap_error(at_cost, peer)
        line = (
            f"- cost {cost:g}: ours is {word}; the next is {peer}, {gap:+.3f} away "
            f"(standard error {error:.3f})"
        )
        gap, without = means[WITHOUT] - means[OURS], _gap_error(at_cost, WITHOUT)
        line += f"; without reinstatements {gap:+.3f} (standard error {without:.3f})"
        totals = at_cost.pivot_table(index=["stream", "seed"], columns="policy", values="total")
        line += f", in the worst stream {(totals[OURS] - totals[WITHOUT]).max():+.3f} dearer"
        ours = at_cost[at_cost["policy"] == OURS]
        again = ours[ours["kind"] == "none"]["reinstatements"]
        if len(quiet):
            line += f". Without drift {again.mean():.2f} reinstatements"
            line += (
                f" and {quiet.mean():.2f} trainings in 20 windows "
                f"(most in one stream: {quiet.max()})"
            )
        lines.append(line + ".")
    return "\n".join(lines)


def _gap_error(at_cost: pd.DataFrame, peer: str) -> float:
    """Returns the standard error of the mean gap to a peer, seeds being the independent units."""
    totals = at_cost.pivot_table(index=["stream", "seed"], columns="policy", values="total")
    by_stream = (totals[peer] - totals[OURS]).groupby(level="stream")
    variances = by_stream.var().fillna(0.0) / by_stream.count()
    return float(variances.sum() ** 0.5 / len(variances))


def _stream_table(table: pd.DataFrame, cost: float) -> str:
    by_stream = averages(table[table["training_cost"] == cost])
    names = by_stream[["kind", "stream"]].drop_duplicates()
    order = names.sort_values(by="kind", key=lambda kinds: kinds.map(KINDS.index))
    lines = [
        f"### Stream by stream, cost {cost:g}",
        "Share of the loss that always training saves against never, and trainings in brackets; "
        "`-` where always training saves less than 1 % of the loss.",
        "",
        "| stream | " + " | ".join(POLICIES[1:]) + " |",
        "|---|" + "---|" * (len(POLICIES) - 1),
    ]
    for stream in order["stream"]:
        rows = by_stream[by_stream["stream"] == stream].set_index("policy")
        gain = rows.loc["never", "loss"] - rows.loc["always", "loss"]
        cells = []
        for policy in POLICIES[1:]:
            share = (rows.loc["never", "loss"] - rows.loc[policy, "loss"]) / gain if gain else 0.0
            shown = f"{share:.2f}" if gain > 0.01 * rows.loc["never", "loss"] else "-"
            cells.append(f"{shown} ({rows.loc[policy, 'trainings']:.1f})")
        lines.append(f"| {stream} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
