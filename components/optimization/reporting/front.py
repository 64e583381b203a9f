"""The front of the variants: those that no other beats in size, loss and time at once. Pure."""

from collections.abc import Sequence

from tfx_loop.contracts.optimization_report import Rung


def front_of(rungs: Sequence[Rung]) -> tuple[str, ...]:
    """Returns the names of the variants on the front, the smallest first.

    One variant beats another when it is no larger, loses no more and, where both were timed, is no
    slower, and is better in one of these. Whether a variant keeps to the budget does not matter:
    the front shows what another budget would buy. Variants without a measured loss are not on it.
    """
    measured = [r for r in rungs if r.size and r.drop and r.drop.value is not None]
    left = [r for r in measured if not any(_beats(other, r) for other in measured)]
    return tuple(r.name for r in sorted(left, key=lambda r: r.size.raw_bytes if r.size else 0))


def _beats(one: Rung, other: Rung) -> bool:
    pairs = list(zip(_costs(one), _costs(other), strict=True))
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    return all(a <= b for a, b in known) and any(a < b for a, b in known)


def _costs(rung: Rung) -> tuple[float | None, float | None, float | None]:
    size = rung.size.raw_bytes if rung.size else None
    return size, rung.drop.value if rung.drop else None, rung.latency_ms
