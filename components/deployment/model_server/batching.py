"""Rows of several requests asked of a model as one batch, where that changes no answer.

A signature says whether its first dimension is open, and not whether that is a batch: a model may
as well subtract the mean of all rows. So it is tried on rows of random numbers when the model is
loaded. Where such rows fail (text, lists of any length), the first batches of real requests are
asked both ways, and the model is believed when they agree.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from tfx_loop.core.errors import DataError, ServingError
from tfx_loop.deployment.model_server.signature import Signature
from tfx_loop.models.tensors import Array, TensorSpec

if TYPE_CHECKING:
    from tfx_loop.deployment.model_server.engine import PredictionJob
    from tfx_loop.deployment.model_server.logging_gateway import Servable

_LOG = logging.getLogger(__name__)
# Batches of real requests that have to agree before a model is believed. Chosen: a mean over rows
# shows in the first of them already.
_AGREEMENTS = 3
# Kernels add in another order for another number of rows; more than that is another answer.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
_TRIED_ROWS = 3


class Batching(Enum):
    """Whether rows of several requests may be asked at once."""

    NEVER = "never"
    UNPROVEN = "unproven"
    PROVEN = "proven"


class BatchRules:
    """What is known of the signatures of one model; written by the engine's thread alone."""

    def __init__(self, rules: Mapping[str, Batching] | None = None) -> None:
        """Knows the rules that were found at loading; other signatures are never batched."""
        self._rules = dict(rules or {})
        self._agreed: dict[str, int] = {}

    def of(self, signature_name: str) -> Batching:
        """Returns the rule of a signature."""
        return self._rules.get(signature_name, Batching.NEVER)

    def saw(self, signature_name: str, *, agreed: bool) -> None:
        """Takes in whether a batch of real requests was answered as the requests alone were."""
        if not agreed:
            self._rules[signature_name] = Batching.NEVER
            _LOG.info("batching signature=%s state=never", signature_name)
            return
        times = self._agreed[signature_name] = self._agreed.get(signature_name, 0) + 1
        if times >= _AGREEMENTS:
            self._rules[signature_name] = Batching.PROVEN


def batch_rules(servable: "Servable", stateful: Iterable[str] = ()) -> BatchRules:
    """Returns the rules of a model that was loaded, and by the way warms it up.

    Args:
        servable: The model.
        stateful: Signatures whose answers depend on those before, or on chance.
    """
    rules = {}
    for name, signature in servable.signatures.items():
        if name in stateful or not _may_be_rows(signature):
            rules[name] = Batching.NEVER
        else:
            rules[name] = _tried(servable, signature)
    return BatchRules(rules)


def ask_together(jobs: Sequence["PredictionJob"]) -> None:
    """Sets `outputs` or `error` of jobs of one model, signature and shape."""
    servable, name = jobs[0].servable, jobs[0].signature.name
    rule = servable.batching.of(name) if len(jobs) > 1 else Batching.NEVER
    if rule is Batching.PROVEN:
        parts = _asked_as_one(servable, name, jobs)
        if parts is not None:
            for job, part in zip(jobs, parts, strict=True):
                job.outputs = part
            return
    for job in jobs:
        _ask_alone(job)
    # Rows that are all alike prove nothing.
    if rule is Batching.UNPROVEN and all(job.error is None for job in jobs) and _differ(jobs):
        parts = _asked_as_one(servable, name, jobs)
        agreed = parts is not None and all(
            _alike(part, job.outputs or {}) for job, part in zip(jobs, parts, strict=True)
        )
        servable.batching.saw(name, agreed=agreed)


def _ask_alone(job: "PredictionJob") -> None:
    try:
        job.outputs = job.servable.run(job.signature.name, job.inputs)
    except (DataError, ServingError) as error:
        job.error = error


def _asked_as_one(
    servable: "Servable", name: str, jobs: Sequence["PredictionJob"]
) -> list[dict[str, Array]] | None:
    """Returns the outputs of each job; None where some row fails or rows do not come back."""
    inputs = {key: np.concatenate([job.inputs[key] for job in jobs]) for key in jobs[0].inputs}
    try:
        outputs = servable.run(name, inputs)
    except (DataError, ServingError):
        # Each is asked alone then, and gets its own answer or error.
        return None
    rows = sum(job.rows for job in jobs)
    if any(values.ndim == 0 or len(values) != rows for values in outputs.values()):
        servable.batching.saw(name, agreed=False)
        return None
    parts, start = [], 0
    for job in jobs:
        end = start + job.rows
        parts.append({key: values[start:end] for key, values in outputs.items()})
        start = end
    return parts


def _may_be_rows(signature: Signature) -> bool:
    """Says whether all that goes in and out has an open first dimension."""
    specs = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs) and all(
        not spec.any_rank and bool(spec.shape) and spec.shape[0] is None for spec in specs
    )


def _tried(servable: "Servable", signature: Signature) -> Batching:
    """Returns whether a signature answers random rows at once as it does one by one."""
    try:
        rows = {name: _random_rows(spec) for name, spec in signature.inputs.items()}
        whole = servable.run(signature.name, rows)
        for row in range(_TRIED_ROWS):
            alone = {name: values[row : row + 1] for name, values in rows.items()}
            part = {name: values[row : row + 1] for name, values in whole.items()}
            if not _alike(servable.run(signature.name, alone), part):
                return Batching.NEVER
    except (DataError, ServingError, TypeError, ValueError, IndexError):
        # Random rows are none of this model's: real ones will show.
        return Batching.UNPROVEN
    return Batching.PROVEN


def _random_rows(spec: TensorSpec) -> Array:
    """Returns rows that differ, small enough to be a place in a table of two."""
    shape = (_TRIED_ROWS, *(size or 2 for size in spec.shape[1:]))
    generator = np.random.default_rng(0)
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "f":
        return generator.normal(size=shape).astype(dtype)
    if dtype.kind not in "iub":
        raise TypeError(spec.dtype)
    values = generator.integers(0, 2, size=shape)
    values[0], values[1] = 0, 1
    return values.astype(dtype)


def _differ(jobs: Sequence["PredictionJob"]) -> bool:
    first = jobs[0].inputs
    return any(
        not np.array_equal(values, first[name])
        for job in jobs[1:]
        for name, values in job.inputs.items()
    )


def _alike(some: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    return some.keys() == others.keys() and all(
        _close(values, others[name]) for name, values in some.items()
    )


def _close(some: Array, other: Array) -> bool:
    if some.shape != other.shape:
        return False
    if some.dtype.kind in "fc":
        return np.allclose(some, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
    return np.array_equal(some, other)
