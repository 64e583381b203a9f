"""The quality gate as a user states it: limits by metric, such as AUC at least 0.6."""

from collections.abc import Mapping
from typing import Any

from tfx_loop.contracts.task import ModelTask, TaskKind
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.pipelines.config import QualityGate

_BINARY, _CLASSES, _LABELS, _REGRESSION = (
    TaskKind.BINARY,
    TaskKind.CLASSES,
    TaskKind.LABELS,
    TaskKind.REGRESSION,
)
# Limits by metric and by what is asked of it: the setting of QualityGate that each stands for, and
# the tasks whose models have that metric (`evaluation/task_metrics.py`).
_GATES: Mapping[tuple[str, str], tuple[str, tuple[TaskKind, ...]]] = {
    ("AUC", "at_least"): ("min_auc", (_BINARY, _LABELS)),
    ("AUC", "drop"): ("max_auc_drop", (_BINARY, _LABELS)),
    ("calibration", "off"): ("max_calibration_error", (_BINARY,)),
    ("accuracy", "at_least"): ("min_accuracy", (_CLASSES,)),
    ("accuracy", "drop"): ("max_accuracy_drop", (_CLASSES,)),
    ("error", "at_most"): ("max_error", (_REGRESSION,)),
    ("loss", "rise"): ("max_loss_rise", tuple(TaskKind)),
    ("loss", "gain"): ("min_gain", (_CLASSES, _LABELS, _REGRESSION)),
}


def stated_gate(stated: Mapping[str, Any], task: ModelTask) -> QualityGate:
    """Returns the gate that limits stand for.

    Args:
        stated: Limits by metric, such as `{"AUC": {"at_least": 0.6, "drop": 0.02}}`.
        task: What the model answers. A limit on a metric that it does not have would judge nothing.

    Raises:
        ConfigError: A metric or a limit is unknown, or not one of this task, or no number.
    """
    given: dict[str, Any] = {}
    known = [
        f"{metric} {word}" for (metric, word), (_, kinds) in _GATES.items() if task.kind in kinds
    ]
    for metric, limits in stated.items():
        if not isinstance(limits, Mapping):
            raise ConfigError(
                f"Expected limits of the gate {metric}, such as at_least = 0.6 in [gate.AUC], "
                f"received {limits!r}."
            )
        for word, value in limits.items():
            if f"{metric} {word}" not in known:
                raise ConfigError(
                    f"Expected a gate of a {task.kind.value} model among {', '.join(known)}, "
                    f"received {metric} {word}.{did_you_mean(f'{metric} {word}', known)}"
                )
            # A truth value is a number to Python, and to no user.
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise ConfigError(f"Expected a number as {metric} {word}, received {value!r}.")
            given[_GATES[metric, word][0]] = float(value)
    return QualityGate(**given)
