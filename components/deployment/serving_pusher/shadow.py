"""A shadow of logged requests: champion and candidate asked the same rows, neither for a client.

The rows are those of a prediction log, with labels where a LabelJoiner found them. Both versions
are asked by the server itself, so the latency is what clients would see; the token of the push
keeps the answers out of the log.
"""

import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from tfx_loop.core.errors import ModelRejected, ServingError, first_line
from tfx_loop.core.json_file import JsonFile
from tfx_loop.data.prediction_log.record import GOLDEN_PREFIX, STATUS_OK
from tfx_loop.data.prediction_log.window_files import read_rows

if TYPE_CHECKING:
    # golden imports TensorFlow; a comparison of answers needs none.
    from tfx_loop.deployment.serving_pusher.golden import PredictClient

_LOG = logging.getLogger(__name__)
# What a client of an online model sends at a time, more or less; the latency is of such a request.
ROWS_PER_REQUEST = 8
# Numbers that are no probabilities agree within this share of the champion's spread.
_AGREEING_SHARE = 0.05
# Keeps the logarithm of a probability of 0 finite, as scikit-learn's log_loss does for doubles.
_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)

Column = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class ShadowTerms:
    """What a candidate must show beside the champion.

    Attributes:
        min_agreement: Share of rows on which both decide alike, 0 to 1.
        max_loss_ratio: The candidate's loss at most, in those of the champion; 0 judges none.
    """

    min_agreement: float = 0.0
    max_loss_ratio: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """Champion against candidate on the same logged rows.

    Attributes:
        champion: The version that serves.
        candidate: The version that is to.
        rows: How many both answered.
        agreement: By output the share of rows on which they decide alike.
        mean_difference: By numeric output the mean absolute difference.
        champion_latency_ms: Median of a request of a few rows.
        candidate_latency_ms: The same of the candidate.
        labelled_rows: Rows with a label.
        loss: What the losses are: `log_loss` or `squared_error`; empty without labels.
        champion_loss: Mean over the labelled rows; None without any.
        candidate_loss: The same of the candidate.
    """

    champion: int
    candidate: int
    rows: int
    agreement: Mapping[str, float]
    mean_difference: Mapping[str, float]
    champion_latency_ms: float
    candidate_latency_ms: float
    labelled_rows: int = 0
    loss: str = ""
    champion_loss: float | None = None
    candidate_loss: float | None = None


SHADOW_REPORT = JsonFile(
    name="shadow.json",
    kind=ShadowReport,
    title="a comparison of champion and candidate",
    remedy="Push with the release that wrote it.",
)


def newest_rows(uri: str, rows: int) -> Any:
    """Returns the newest answered rows of a PredictionLog artifact."""
    table = read_rows(uri)
    table = table.filter(pc.equal(table.column("status"), STATUS_OK))
    # Rows stand in the order of their event time.
    return table.slice(max(len(table) - rows, 0))


def labels_of(table: Any) -> Column:
    """Returns the label of each row; NaN where it has none."""
    if "label" not in table.column_names:
        return np.full(len(table), np.nan)
    labels: Column = table.column("label").to_numpy(zero_copy_only=False).astype(np.float64)
    return labels


@dataclass(frozen=True, kw_only=True)
class ShadowCheck:
    """Asks both versions, compares them, and refuses a candidate that falls short.

    Attributes:
        client: Asks the server.
        instances: The rows as a client sends them.
        labels: A label for each row; NaN where it has none.
        signature: What is asked.
        champion: The version that serves.
        terms: What the candidate must show.
        token: The push's own.
        rows_per_request: How many are asked at a time.
        report: Takes the report, whatever it says.
        clock: Seconds that only grow.
    """

    client: "PredictClient"
    instances: Sequence[Any]
    labels: Column
    signature: str
    champion: int
    terms: ShadowTerms
    token: str = ""
    rows_per_request: int = ROWS_PER_REQUEST
    report: Callable[[ShadowReport], None] = lambda _: None
    clock: Callable[[], float] = field(default=time.monotonic)

    def __call__(self, version: int) -> None:
        """Compares a candidate with the champion.

        Raises:
            ModelRejected: They decide alike on too few rows, or the candidate loses too much.
        """
        try:
            champion, champion_ms = self._answers(self.champion)
        except ServingError as error:
            # It takes other inputs, or gave way already: there is nothing to compare with.
            _LOG.warning("shadow champion=%d compared=no %s", self.champion, first_line(error))
            return
        candidate, candidate_ms = self._answers(version)
        made = compared(champion, candidate, self.labels)
        report = ShadowReport(
            champion=self.champion,
            candidate=version,
            rows=len(self.instances),
            champion_latency_ms=champion_ms,
            candidate_latency_ms=candidate_ms,
            **made,
        )
        self.report(report)
        _LOG.info(
            "shadow champion=%d candidate=%d rows=%d agreement=%s loss=%s/%s",
            report.champion,
            version,
            report.rows,
            dict(report.agreement),
            report.champion_loss,
            report.candidate_loss,
        )
        judge(report, self.terms)

    def _answers(self, version: int) -> tuple[dict[str, Column], float]:
        parts: list[Mapping[str, Sequence[Any]]] = []
        times = []
        for start in range(0, len(self.instances), self.rows_per_request):
            began = self.clock()
            parts.append(
                self.client.predict(
                    instances=list(self.instances[start : start + self.rows_per_request]),
                    signature_name=self.signature,
                    version=version,
                    request_id=f"{GOLDEN_PREFIX}shadow-{uuid.uuid4().hex}",
                    golden_token=self.token,
                )
            )
            times.append((self.clock() - began) * 1000)
        names = parts[0].keys()
        joined = {name: np.array([row for part in parts for row in part[name]]) for name in names}
        # The median: the first request pays for what a model sets up once.
        return joined, float(np.median(times))


def judge(report: ShadowReport, terms: ShadowTerms) -> None:
    """Raises ModelRejected where a candidate falls short of what is asked of it."""
    name, least = min(report.agreement.items(), key=lambda item: item[1], default=("", 1.0))
    if least < terms.min_agreement:
        raise ModelRejected(
            f"Expected version {report.candidate} to decide as version {report.champion} on "
            f"{terms.min_agreement:.1%} of the logged rows, received {least:.1%} for output "
            f"{name!r}. The version was withdrawn; lower min_agreement if it is meant to differ."
        )
    if not terms.max_loss_ratio or report.champion_loss is None or report.candidate_loss is None:
        return
    if report.candidate_loss > terms.max_loss_ratio * report.champion_loss:
        raise ModelRejected(
            f"Expected version {report.candidate} to lose at most {terms.max_loss_ratio:g} times "
            f"what version {report.champion} does on {report.labelled_rows} labelled rows "
            f"({report.loss} {report.champion_loss:.4g}), received {report.candidate_loss:.4g}. "
            "The version was withdrawn."
        )


def compared(
    champion: Mapping[str, Column], candidate: Mapping[str, Column], labels: Column
) -> dict[str, Any]:
    """Returns what a report says of two versions' answers to the same rows."""
    shared = [
        name
        for name in champion
        if name in candidate and champion[name].shape == candidate[name].shape
    ]
    differences = {
        name: float(np.mean(np.abs(champion[name] - candidate[name])))
        for name in shared
        if champion[name].dtype.kind in "iuf"
    }
    found: dict[str, Any] = {
        # An output that one of the two has alone is agreed on nowhere.
        "agreement": {
            name: _agreement(champion[name], candidate[name]) if name in shared else 0.0
            for name in sorted({*champion, *candidate})
        },
        "mean_difference": {n: d for n, d in differences.items() if math.isfinite(d)},
    }
    known = np.isfinite(labels)
    if len(shared) == 1 and known.any():
        (name,) = shared
        losses = [_loss(answers[name][known], labels[known]) for answers in (champion, candidate)]
        if all(losses):
            (kind, first), (_, second) = (loss for loss in losses if loss)
            found |= {"loss": kind, "champion_loss": first, "candidate_loss": second}
            found["labelled_rows"] = int(known.sum())
    return found


def _agreement(first: Column, second: Column) -> float:
    first, second = (values.reshape(len(values), -1) for values in (first, second))
    if first.dtype.kind not in "f":
        return float(np.mean((first == second).all(axis=1)))
    if first.shape[1] > 1:
        # Of several numbers a row the largest is the answer, be they probabilities or logits.
        return float(np.mean(first.argmax(axis=1) == second.argmax(axis=1)))
    if _are_probabilities(first) and _are_probabilities(second):
        # Where the score is cut nobody says here: at a half, as Keras does.
        return float(np.mean((first >= 0.5) == (second >= 0.5)))
    spread = float(np.ptp(first[np.isfinite(first)])) if np.isfinite(first).any() else 0.0
    return float(np.mean(np.isclose(first, second, rtol=0, atol=_AGREEING_SHARE * spread)))


def _loss(answers: Column, labels: Column) -> tuple[str, float] | None:
    """Returns the loss that suits an output and its mean; None where none does."""
    if answers.dtype.kind not in "iuf":
        return None
    rows = answers.reshape(len(answers), -1).astype(np.float64)
    classes = rows.shape[1]
    if classes > 1:
        whole = labels.astype(np.int64)
        if not _are_probabilities(rows) or (whole != labels).any() or whole.max() >= classes:
            return None
        chosen = rows[np.arange(len(rows)), whole]
        return "log_loss", float(-np.mean(np.log(np.maximum(chosen, _SMALLEST_PROBABILITY))))
    values = rows[:, 0]
    if _are_probabilities(values) and np.isin(labels, (0.0, 1.0)).all():
        chosen = np.where(labels == 1.0, values, 1.0 - values)
        return "log_loss", float(-np.mean(np.log(np.maximum(chosen, _SMALLEST_PROBABILITY))))
    return "squared_error", float(np.mean((values - labels) ** 2))


def _are_probabilities(values: Column) -> bool:
    return bool(((values >= 0.0) & (values <= 1.0)).all())
