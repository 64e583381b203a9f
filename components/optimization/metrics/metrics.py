"""Values of the metrics on some rows, and what each row contributes to them.

Names are the class names that TFMA and Keras use, and the values agree with TFMA's on the same
rows. Beside its value a metric gives its influence, one number a row with mean zero, such that the
error of the value is close to the mean of the influence (Hampel 1974; for AUC these are DeLong's
structural components, Biometrics 44, 1988). The standard error of a metric, and of the paired
difference of two models, follow from it in one pass, without resampling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.optimization.metrics import decisions, ranking
from tfx_loop.optimization.metrics.scoring import PredictionKind, Scoring, infer_scoring, pick

Array: TypeAlias = npt.NDArray[Any]
Outputs: TypeAlias = Mapping[str, Array] | Array

# Keras clips probabilities here before it takes their logarithm.
_EPSILON = 1e-7


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """A metric on some rows.

    Attributes:
        value: The metric; NaN where it is not defined, such as AUC with one class.
        influence: (rows,) float64, mean zero.
    """

    value: float
    influence: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric, and how a model's outputs are read for it.

    Attributes:
        name: Class name, such as `AUC`.
        higher_is_better: False for losses.
        scoring: Which output is read, what it is (probabilities, logits, numbers).
        threshold: Above it a binary score means yes.
        num_thresholds: Points of TFMA's AUC.
    """

    name: str
    higher_is_better: bool = True
    scoring: Scoring = field(default_factory=Scoring)
    threshold: float = 0.5
    # TFMA's own default: its AUC is what blesses a model, so ours must be the same.
    num_thresholds: int = 10_000

    def compute(self, labels: Array, outputs: Outputs) -> float:
        """Returns the value on all rows; NaN where it is not defined.

        Args:
            labels: (rows,) class numbers or numbers, or (rows, classes) one-hot.
            outputs: What the model gave for these rows, by output name or one array.
        """
        return self.measure(labels, outputs).value

    def measure(self, labels: Array, outputs: Outputs) -> MetricValue:
        """Returns value and influence; arguments as for `compute`.

        Raises:
            DataError: No rows, or labels and outputs do not fit each other.
        """
        truth, scores = self.scoring.read(labels, outputs)
        if len(truth) == 0:
            raise DataError(f"Expected rows to measure {self.name} on, received none.")
        value, influence = _KNOWN[self.name].measure(self, truth, scores)
        by_row = np.asarray(influence, dtype=np.float64).reshape(len(truth), -1).mean(axis=1)
        return MetricValue(value=float(value), influence=by_row)

    def cells(self, labels: Array, outputs: Outputs) -> tuple[Array, Array] | None:
        """Returns (truth, decision) as 0/1 arrays where the metric counts decisions, else None.

        For several classes truth is all 1 and decision says whether the row is right.
        """
        truth, scores = self.scoring.read(labels, outputs)
        return decisions.cells(self, truth, scores) if _KNOWN[self.name].counts else None

    @property
    def is_log_loss(self) -> bool:
        """Says whether the value is the mean of the truth's negative log probabilities."""
        return _KNOWN[self.name].measure is _log_loss

    def class_probabilities(self, labels: Array, outputs: Outputs) -> tuple[Array, Array]:
        """Returns class numbers and probabilities as log losses take them.

        Returns:
            (rows, decisions) whole numbers, and (rows, decisions, classes), clipped as Keras does.
        """
        truth, scores = self.scoring.read(labels, outputs)
        p = np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON)
        if self.scoring.kind is PredictionKind.BINARY:
            p = np.stack([1 - p, p], axis=-1)
        # As Keras does; the probabilities of int8 models add up to 1 but for rounding.
        p = np.clip(p / p.sum(axis=-1, keepdims=True), _EPSILON, 1 - _EPSILON)
        rows = len(truth)
        return truth.reshape(rows, -1).astype(np.int64), p.reshape(rows, -1, p.shape[-1])

    @property
    def is_share(self) -> bool:
        """Says whether the value lies between 0 and 1."""
        return self.higher_is_better and self.name != "R2Score"

    @property
    def is_accuracy(self) -> bool:
        """Says whether the value is the fraction of rows that are right."""
        return self.name in decisions.ACCURACIES


def metric(name: str, *, scoring: Scoring | None = None, **settings: Any) -> Metric:
    """Returns the metric of that name.

    Args:
        name: TFMA's or Keras's class name, or a plain name (`accuracy`, `auc`, `r2`, `mse`).
        scoring: How outputs are read; by default one output of probabilities or numbers.
        settings: `threshold`, `num_thresholds`.

    Raises:
        ConfigError: The name is not known.
    """
    plain = _plain(name)
    for known, entry in _KNOWN.items():
        if plain == _plain(known) or plain in entry.aliases:
            return Metric(
                name=known,
                higher_is_better=entry.higher_is_better,
                scoring=scoring or Scoring(kind=entry.kind),
                **settings,
            )
    raise ConfigError(f"Expected a metric of {', '.join(_KNOWN)}, received {name!r}. Choose one.")


def infer_metric(
    labels: Array, outputs: Outputs, name: str | None = None, output: str | None = None
) -> Metric:
    """Returns the metric for these labels and the parent's outputs.

    By default accuracy where the labels are classes, R2Score where they are numbers. Give it the
    parent's outputs and use it for the children too: whether outputs are logits is read off them.

    Raises:
        ConfigError: The named metric does not fit these labels.
        DataError: Labels and outputs do not fit each other.
    """
    scoring = infer_scoring(labels, outputs, output)
    default = {
        PredictionKind.BINARY: "BinaryAccuracy",
        PredictionKind.CLASSES: "SparseCategoricalAccuracy",
        PredictionKind.NUMBER: "R2Score",
    }[scoring.kind]
    # "accuracy" is whichever accuracy goes with the labels, as in Keras.
    if name is None or _plain(name) in ("accuracy", "acc"):
        name = default
    chosen = metric(name, scoring=scoring)
    fitting = _KNOWN[chosen.name].kinds
    if (
        scoring.kind is PredictionKind.CLASSES
        and PredictionKind.BINARY in fitting
        and _two_columns(outputs, scoring)
    ):
        return replace(chosen, scoring=replace(scoring, kind=PredictionKind.BINARY))
    if scoring.kind not in fitting:
        possible = [known for known, entry in _KNOWN.items() if scoring.kind in entry.kinds]
        raise ConfigError(
            f"Expected a metric for {scoring.describe()}: {', '.join(possible)}; "
            f"received {chosen.name}. Choose one of these."
        )
    return chosen


def _two_columns(outputs: Outputs, scoring: Scoring) -> bool:
    return pick(outputs, scoring.output).shape[1:] == (2,)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "").replace("-", "")


def _mean(values: Array) -> tuple[float, Array]:
    # Rows are the independent units; a row's several outputs are not.
    rows = values.reshape(len(values), -1).mean(axis=1)
    mean = float(rows.mean())
    return mean, rows - mean


def _squared(_: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    return _mean((truth - scores) ** 2)


def _absolute(_: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    return _mean(np.abs(truth - scores))


def _root_squared(_: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    mean, influence = _mean((truth - scores) ** 2)
    root = float(np.sqrt(mean))
    # Delta method: d sqrt(m) = dm / (2 sqrt(m)).
    return root, influence / (2 * root) if root else influence


def _r2(_: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    """One minus residual over total sum of squares; the influence is the ratio's."""
    truth, scores = (array.reshape(len(array), -1) for array in (truth, scores))
    residual = ((truth - scores) ** 2).mean(axis=1)
    total = ((truth - truth.mean(axis=0)) ** 2).mean(axis=1)
    # Labels without spread leave nothing to explain.
    if not total.mean() > 0:
        return float("nan"), np.zeros(len(truth))
    ratio = residual.mean() / total.mean()
    # The influence of a ratio (decisions.py), negated as R2 is one minus it.
    return 1 - ratio, -(residual - ratio * total) / total.mean()


def _log_loss(m: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    p = np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON)
    if m.scoring.kind is PredictionKind.BINARY:
        return _mean(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)))
    # As Keras does; the probabilities of int8 models add up to 1 but for rounding.
    p = np.clip(p / p.sum(axis=-1, keepdims=True), _EPSILON, 1 - _EPSILON)
    right = np.take_along_axis(p, truth[..., None].astype(np.int64), axis=-1)
    return _mean(-np.log(right))


def _auc(m: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    return ranking.auc(truth.ravel(), scores.ravel(), m.num_thresholds)


def _decided(m: Metric, truth: Array, scores: Array) -> tuple[float, Array]:
    return decisions.measure(m, truth, scores)


_Measure: TypeAlias = Callable[[Metric, Array, Array], tuple[float, Array]]


@dataclass(frozen=True)
class _Entry:
    measure: _Measure
    kinds: tuple[PredictionKind, ...]
    aliases: tuple[str, ...] = ()
    higher_is_better: bool = True
    counts: bool = False

    @property
    def kind(self) -> PredictionKind:
        return self.kinds[0]


_CLASSES, _BINARY, _NUMBER = (
    (PredictionKind.CLASSES,),
    (PredictionKind.BINARY,),
    (PredictionKind.NUMBER,),
)
_KNOWN: dict[str, _Entry] = {
    "BinaryAccuracy": _Entry(_decided, _BINARY, counts=True),
    "SparseCategoricalAccuracy": _Entry(_decided, _CLASSES, ("categoricalaccuracy",), counts=True),
    "AUC": _Entry(_auc, _BINARY, ("rocauc",)),
    "Precision": _Entry(_decided, _BINARY, counts=True),
    "Recall": _Entry(_decided, _BINARY, counts=True),
    "F1Score": _Entry(_decided, _BINARY, ("f1",), counts=True),
    "BalancedAccuracy": _Entry(_decided, _BINARY, counts=True),
    "BinaryCrossEntropy": _Entry(_log_loss, _BINARY, higher_is_better=False),
    "SparseCategoricalCrossentropy": _Entry(
        _log_loss, (PredictionKind.CLASSES,), ("categoricalcrossentropy",), higher_is_better=False
    ),
    "LogLoss": _Entry(
        _log_loss, (PredictionKind.BINARY, PredictionKind.CLASSES), higher_is_better=False
    ),
    "R2Score": _Entry(_r2, _NUMBER, ("r2", "rsquared")),
    "MeanSquaredError": _Entry(_squared, _NUMBER, ("mse",), higher_is_better=False),
    "MeanAbsoluteError": _Entry(_absolute, _NUMBER, ("mae",), higher_is_better=False),
    "RootMeanSquaredError": _Entry(_root_squared, _NUMBER, ("rmse",), higher_is_better=False),
}


def names() -> tuple[str, ...]:
    """Returns the names of all metrics."""
    return tuple(_KNOWN)
