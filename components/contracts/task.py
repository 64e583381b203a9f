"""The task of a model and its loss: the one description that all rooms follow.

A reference profile carries it from the training to monitors and decisions, so that a model is
described once. Losses, TFMA's metrics and surrogates are tables by kind or by loss in the rooms
that need them (models/task_losses.py, pipelines/evaluation/task_metrics.py,
monitoring/retrain_decider/surrogate.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.json_codec import default_left_out

# Sets of labels are kept as whole numbers, a bit a label: a double holds 52 of them.
_MOST_LABELS = 50


class TaskKind(str, Enum):
    """What a model answers.

    BINARY: the probability of label 1. CLASSES: one number a class, of which one is right. LABELS:
    one probability a label, of which several may hold. REGRESSION: a number.
    """

    BINARY = "binary"
    CLASSES = "classes"
    LABELS = "labels"
    REGRESSION = "regression"


class TaskLoss(str, Enum):
    """What a wrong answer costs; probabilities in nats, numbers in units of the label."""

    LOG = "log_loss"
    CROSS_ENTROPY = "cross_entropy"
    MEAN_LOG = "mean_log_loss"
    SQUARED = "squared_error"
    ABSOLUTE = "absolute_error"
    QUANTILE = "quantile_error"
    POISSON = "poisson_deviance"


# What people ask for that rows by themselves do not show, and what stands for it.
_NO_TASKS: Mapping[str, str] = {
    "ranking": "Watch the score of each item: 'regression' of its relevance, 'binary' of a click.",
    "clustering": "Without labels, compare rows alone: DriftMonitor by itself, or `loop monitor`.",
    "anomaly": "Where labels come, it is 'binary'; without, use DriftMonitor by itself.",
    "embedding": "Name the output that decides as score.",
}
# The first is what a task of that kind costs where nobody says otherwise.
_LOSSES: Mapping[TaskKind, tuple[TaskLoss, ...]] = {
    TaskKind.BINARY: (TaskLoss.LOG,),
    TaskKind.CLASSES: (TaskLoss.CROSS_ENTROPY,),
    TaskKind.LABELS: (TaskLoss.MEAN_LOG,),
    TaskKind.REGRESSION: (
        TaskLoss.SQUARED,
        TaskLoss.ABSOLUTE,
        TaskLoss.QUANTILE,
        TaskLoss.POISSON,
    ),
}


@dataclass(frozen=True, kw_only=True)
class ModelTask:
    """The task of a model.

    In settings and on command lines also its text (`of_text`): `binary`, `regression`,
    `regression:absolute`, `regression:quantile=0.9`, `regression:poisson`, `classes:3`,
    `classes:setosa,versicolor,virginica`, `labels:sports,politics`.

    Attributes:
        kind: What the model answers: `binary`, `classes`, `labels` or `regression`.
        loss: What a wrong answer costs; None takes the kind's own.
        quantile: Which quantile a model of `quantile_error` answers, in (0, 1).
        classes: Names of the classes or labels in the order of the model's outputs; empty where
            they are numbered from 0. Of `binary` the names of labels 0 and 1.
        outputs: How many classes or labels there are; 0 for as many as are named.
    """

    kind: TaskKind
    loss: TaskLoss | None = None
    quantile: float = field(default=0.5, metadata=default_left_out())
    classes: tuple[str, ...] = field(default=(), metadata=default_left_out())
    outputs: int = field(default=0, metadata=default_left_out())

    def __post_init__(self) -> None:
        known = _LOSSES[self.kind]
        loss = known[0] if self.loss is None else self.loss
        if loss not in known:
            raise ConfigError(
                f"loss of a task {self.kind.value!r} must be one of "
                f"{', '.join(one.value for one in known)}, got {loss.value!r}."
            )
        object.__setattr__(self, "loss", loss)
        if not 0 < self.quantile < 1:
            raise ConfigError(f"quantile must be in (0, 1), got {self.quantile}.")
        self._check_classes()

    def _check_classes(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"classes must differ from each other, got {list(self.classes)}.")
        several = self.kind in (TaskKind.CLASSES, TaskKind.LABELS)
        if not several and (self.outputs or len(self.classes) not in (0, 2)):
            raise ConfigError(
                f"a task {self.kind.value!r} has no classes beside those of labels 0 and 1, got "
                f"{self.outputs or list(self.classes)}. Use kind 'classes'."
            )
        if self.kind is TaskKind.REGRESSION and self.classes:
            raise ConfigError(f"a regression has no classes, got {list(self.classes)}.")
        if self.classes and several:
            if self.outputs not in (0, len(self.classes)):
                raise ConfigError(
                    f"outputs must be as many as the {len(self.classes)} classes, got "
                    f"{self.outputs}. Leave it out."
                )
            object.__setattr__(self, "outputs", len(self.classes))
        # One class is always right; one label may hold or not.
        if several and self.outputs < (2 if self.kind is TaskKind.CLASSES else 1):
            raise ConfigError(
                f"a task {self.kind.value!r} must say how many there are, or name them, got "
                f"{self.outputs}: such as '{self.kind.value}:3' or '{self.kind.value}:red,green'."
            )
        if self.kind is TaskKind.LABELS and self.outputs > _MOST_LABELS:
            raise ConfigError(
                f"a task 'labels' must have at most {_MOST_LABELS} labels, got {self.outputs}. "
                "Watch those that matter most."
            )

    @classmethod
    def of_text(cls, text: str) -> "ModelTask":
        """Returns the task that a text stands for.

        Raises:
            ConfigError: It stands for none.
        """
        kind, _, said = text.partition(":")
        kinds = [one.value for one in TaskKind]
        if kind in _NO_TASKS:
            raise ConfigError(
                f"Expected a task among {', '.join(kinds)}, received {kind!r}: answers are judged "
                f"row by row. {_NO_TASKS[kind]}"
            )
        if kind not in kinds:
            raise ConfigError(
                f"Expected a task such as {', '.join(kinds)}, received {text!r}."
                f"{did_you_mean(kind, kinds)}"
            )
        if kind == TaskKind.REGRESSION.value:
            return cls._regression(said)
        names = tuple(name.strip() for name in said.split(",")) if said else ()
        if len(names) == 1 and names[0].isdigit():
            return cls(kind=TaskKind(kind), outputs=int(names[0]))
        return cls(kind=TaskKind(kind), classes=names)

    @classmethod
    def _regression(cls, said: str) -> "ModelTask":
        word, _, value = (said or "squared").partition("=")
        # The first word of each loss: squared, absolute, quantile, poisson.
        words = {loss.value.split("_")[0]: loss for loss in _LOSSES[TaskKind.REGRESSION]}
        try:
            loss, quantile = words[word], float(value) if value else 0.5
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"Expected a regression's loss among {', '.join(words)} (quantile=0.9), received "
                f"{said!r}.{did_you_mean(word, words)}"
            ) from error
        return cls(kind=TaskKind.REGRESSION, loss=loss, quantile=quantile)

    @property
    def told(self) -> str:
        """The task in words, such as `regression (absolute_error)`."""
        assert self.loss is not None  # Set when it was made.
        names = f" of {', '.join(self.classes)}" if self.classes else ""
        number = f"{self.outputs} " if self.outputs and not self.classes else ""
        return f"{number}{self.kind.value}{names} ({self.loss.value})"


BINARY = ModelTask(kind=TaskKind.BINARY)
