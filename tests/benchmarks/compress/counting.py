"""Counts of budgets that were kept, and of smaller variants that were passed over. Pure.

Kept: what the chosen variant loses on the reporting rows is at most the budget (the point value).
Those rows are a sample too, so it is also said what they can tell: the budget is refuted where the
drop is above it with 95 % certainty (one-sided), confirmed where it is within it with the same.

Passed over: a rung that runs, is smaller than the chosen one, was left by the search, and keeps to
the budget on the reporting rows. It is `certain` when they confirm it with 95 % certainty, and
`on_paper` when the point value alone says so, which a rung whose true loss lies at the budget does
by chance every other time. Of the certain ones it is said which were within the budget on the rows
that chose as well: there the rule wanted more certainty than they gave. The intervals rest on
labels and decisions alone, not on the probabilities that the search also uses, so they owe nothing
to its rule.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A variant on the reporting rows.

    Attributes:
        mode: How it was made.
        raw_bytes: Size of its file.
        drop: What it loses there, in the metric's unit.
        low: Lower bound of that, 95 % one-sided.
        high: Upper bound, the same.
        choosing_drop: What it loses on the rows that chose, by their labels.
        reason: What the search said of it.
    """

    mode: str
    raw_bytes: int
    drop: float
    low: float
    high: float
    choosing_drop: float = 0.0
    reason: str = ""

    def within(self, budget: float) -> bool:
        """Says whether the point value keeps to the budget."""
        return self.drop <= budget + _ROUNDING

    def confirmed(self, budget: float) -> bool:
        """Says whether it keeps to it with certainty."""
        return self.high <= budget + _ROUNDING

    def refuted(self, budget: float) -> bool:
        """Says whether it exceeds it with certainty."""
        return self.low > budget + _ROUNDING


@dataclass(frozen=True, kw_only=True)
class Case:
    """One search.

    Attributes:
        condition: Network and way of calibrating.
        seed: Of both.
        budget: What was allowed to be lost.
        reporting_rows: Rows that judge here.
        parent_bytes: Size of the float .tflite file.
        parent_metric: The float network on the reporting rows.
        chosen: What the search chose; None when it found nothing.
        rungs: All rungs that could be made without a search of their own.
        float_layers: Layers that the chosen variant keeps in float.
        seconds: Of the search.
    """

    condition: str
    seed: int
    budget: float
    reporting_rows: int
    parent_bytes: int
    parent_metric: float
    chosen: Loss | None
    rungs: tuple[Loss, ...]
    float_layers: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def kept(self) -> bool:
        """Says whether the budget is kept; a search that finds nothing loses nothing."""
        return self.chosen is None or self.chosen.within(self.budget)

    @property
    def refuted(self) -> bool:
        """Says whether it is certain that the budget is not kept."""
        return self.chosen is not None and self.chosen.refuted(self.budget)

    @property
    def on_paper(self) -> tuple[Loss, ...]:
        """Returns the rungs that were passed over by point value, the certain ones among them."""
        return tuple(rung for rung in self._smaller() if rung.within(self.budget))

    @property
    def certain(self) -> tuple[Loss, ...]:
        """Returns the rungs that were passed over with certainty."""
        return tuple(rung for rung in self._smaller() if rung.confirmed(self.budget))

    @property
    def against_the_evidence(self) -> tuple[Loss, ...]:
        """Returns the certain ones that were within the budget on the rows that chose, too.

        These the rule left because it was not certain. The other certain ones it left because the
        rows that chose, a sample as well, showed a loss above the budget.
        """
        return tuple(r for r in self.certain if r.choosing_drop <= self.budget + _ROUNDING)

    def _smaller(self) -> tuple[Loss, ...]:
        limit = self.chosen.raw_bytes if self.chosen else float("inf")
        return tuple(rung for rung in self.rungs if rung.raw_bytes < limit)

    @property
    def size_share(self) -> float:
        """Returns the chosen file's size over that of the float file."""
        return self.chosen.raw_bytes / self.parent_bytes if self.chosen else 1.0

    def to_json(self) -> dict[str, Any]:
        """Returns the case as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Case":
        """Returns the case that `to_json` wrote."""
        chosen = content["chosen"]
        return cls(
            **content
            | {
                "chosen": Loss(**chosen) if chosen else None,
                "rungs": tuple(Loss(**rung) for rung in content["rungs"]),
                "float_layers": tuple(content["float_layers"]),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What always doing the same would have come to.

    Attributes:
        name: What is done.
        cases: In how many cases.
        kept: How often the budget was kept, by point value.
        refuted: How often it was certainly not.
        size_share: Mean of the file's size over that of the float file.
        passed_over: Certain cases of something smaller.
    """

    name: str
    cases: int
    kept: int
    refuted: int
    size_share: float
    passed_over: int


def search_policy(cases: Sequence[Case]) -> Policy:
    """Returns what the search came to."""
    return _policy("the search", cases, [case.chosen for case in cases])


def fixed_policy(name: str, mode: str, cases: Sequence[Case]) -> Policy:
    """Returns what taking one mode without looking would have come to."""
    taken = [next((r for r in case.rungs if r.mode == mode), None) for case in cases]
    return _policy(name, cases, taken)


def measured_policy(name: str, cases: Sequence[Case]) -> Policy:
    """Returns what comes of the smallest rung whose drop on the choosing rows is in the budget."""
    taken = []
    for case in cases:
        fit = [r for r in case.rungs if r.choosing_drop <= case.budget + _ROUNDING]
        taken.append(min(fit, key=lambda rung: rung.raw_bytes, default=None))
    return _policy(name, cases, taken)


def _policy(name: str, cases: Sequence[Case], taken: Sequence[Loss | None]) -> Policy:
    pairs = list(zip(cases, taken, strict=True))
    shares = [
        (loss.raw_bytes if loss else case.parent_bytes) / case.parent_bytes for case, loss in pairs
    ]
    passed = sum(
        any(
            rung.confirmed(case.budget) and loss is not None and rung.raw_bytes < loss.raw_bytes
            for rung in case.rungs
        )
        for case, loss in pairs
    )
    return Policy(
        name=name,
        cases=len(pairs),
        kept=sum(loss is None or loss.within(case.budget) for case, loss in pairs),
        refuted=sum(loss is not None and loss.refuted(case.budget) for case, loss in pairs),
        size_share=sum(shares) / len(shares) if shares else 0.0,
        passed_over=passed,
    )
