"""Results of a table with a seed, a file each: a run of hours goes on where it stopped."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.faults.fit_experiment import judged_models
from tests.benchmarks.faults.leak_experiment import leak_trials


@dataclass(frozen=True)
class Job:
    """One table with one seed, and where its result is kept."""

    kind: str
    name: str
    seed: int
    deepchecks: str
    results: Path | None


def done(job: Job) -> tuple[str, list[dict[str, Any]]]:
    """Returns what was measured, now or before."""
    kept = job.results and job.results / f"{job.kind}-{job.seed}-{job.name}.json"
    if kept and kept.exists():
        return job.kind, json.loads(kept.read_text())
    given = (job.name, job.seed)
    rows: Sequence[Any] = (
        judged_models(given, job.deepchecks) if job.kind == "fit" else leak_trials(given)
    )
    found = [
        {name: sorted(v) if isinstance(v, frozenset) else v for name, v in vars(row).items()}
        for row in rows
    ]
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        beside = kept.with_suffix(".part")
        beside.write_text(json.dumps(found))
        beside.replace(kept)
    return job.kind, found
