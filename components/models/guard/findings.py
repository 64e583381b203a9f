"""Findings of the guard in a model file: a part, what it would do, and the remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tfx_loop.core.errors import ModelUnsafe


class Harm(str, Enum):
    """What comes of opening a file as it is."""

    READS = "reads files"
    WRITES = "writes files"
    RUNS = "runs code"
    NETWORK = "talks to others"
    ENDS = "ends the process"
    UNKNOWN = "is unknown"
    LEAVES = "leaves its folder"
    AMBIGUOUS = "reads as two things"
    EXHAUSTS = "takes too much"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One reason not to open a model file.

    Attributes:
        part: Where in the file: an operation with its function, a layer, a member of an archive.
        found: What is there.
        harm: What comes of it.
        remedy: What its owner can do.
        allow: The name by which `--allow` lets it pass; empty where nothing does.
    """

    part: str
    found: str
    harm: Harm
    remedy: str
    allow: str = ""

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        way_out = f", or name it with --allow {self.allow}" if self.allow else ""
        return f"{self.part}: {self.found} ({self.harm.value}). {self.remedy}{way_out}."


@dataclass(frozen=True)
class ScanResult:
    """What a scan found.

    Attributes:
        findings: What forbids opening the file.
        allowed: What would, had the user not named it.
    """

    findings: tuple[Finding, ...] = ()
    allowed: tuple[Finding, ...] = ()

    @property
    def exceptions(self) -> tuple[str, ...]:
        """The names that were needed, each once."""
        return tuple(sorted({finding.allow for finding in self.allowed}))


def sorted_out(findings: Iterable[Finding], allow: Iterable[str]) -> ScanResult:
    """Returns findings, each once, without those that somebody named."""
    names = set(allow)
    unique = tuple(dict.fromkeys(findings))
    return ScanResult(
        tuple(f for f in unique if not (f.allow and f.allow in names)),
        tuple(f for f in unique if f.allow and f.allow in names),
    )


def unsafe(where: object, findings: tuple[Finding, ...]) -> ModelUnsafe:
    """Returns the error that says why a file is not opened: its first finding, and how many."""
    more = f" {len(findings) - 1} more: loop scan {where}." if len(findings) > 1 else ""
    return ModelUnsafe(
        f"Expected a model that is safe to open in {where}, received {findings[0].sentence}{more}"
    )
