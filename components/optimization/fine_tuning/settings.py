"""Settings of further training: how long, how fast, with whose loss. Pure."""

from dataclasses import dataclass

from tfx_loop.core.errors import ConfigError
from tfx_loop.models.guard.settings import GuardSettings


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings:
    """How a model is trained further.

    Attributes:
        epochs: Passes over the rows.
        batch_size: Rows a step.
        learning_rate: None takes the one that the model was compiled with.
        validation_fraction: Share of the rows held back; the epoch with the lowest loss on them is
            kept. 0 keeps the last epoch.
        seed: Sets what is held back, the order of the rows and all random weights.
        compile_fn: Import path `package.module.function` of a function that gets the model and
            compiles it. Empty takes the compile settings stored in the model file, and where there
            are none the standard loss for the labels and the model's answers.
        custom_objects: Import paths `module:Name` of layers and losses that the file names.
    """

    epochs: int = 10
    # Small enough for a noisy step and for memory, large enough to keep two cores busy. Chosen, not
    # measured.
    batch_size: int = 64
    learning_rate: float | None = None
    # A tenth costs little training and chooses the epoch; more than half would train on the lesser
    # part.
    validation_fraction: float = 0.1
    seed: int = 0
    compile_fn: str = ""
    custom_objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ConfigError(f"Expected epochs of at least 1, received {self.epochs}.")
        if self.batch_size < 1:
            raise ConfigError(f"Expected batch_size of at least 1, received {self.batch_size}.")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ConfigError(
                f"Expected a learning_rate above 0, received {self.learning_rate}. "
                "Leave it out to take the one that the model was compiled with."
            )
        if not 0 <= self.validation_fraction <= 0.5:
            raise ConfigError(
                f"Expected validation_fraction from 0 to 0.5, received {self.validation_fraction}."
            )


@dataclass(frozen=True, kw_only=True)
class FineTuningNodeSettings(GuardSettings):
    """What the nodes that train further are told alike.

    Attributes:
        label_key: Feature that holds the label; None takes that of `eval_config`.
        eval_config: `tfma.EvalConfig` of the Evaluator (or its JSON): names metric, label and
            slices.
        metric: Class name of the metric, such as "AUC"; None takes that of `eval_config`, else
            accuracy, or R2 where the labels are numbers.
        max_metric_drop: What may be lost of it before the verdict is NOT_KEPT.
        max_slice_drop: What may be lost of it on each slice.
        parse_fn: Import path of a function from the Examples' features to the model's inputs,
            arrays by name in and out, for a model that takes decoded images or encoded text; None
            for none.
        export_fn: Import path of `export_fn(model, args)` that writes the SavedModel to
            `args.serving_model_dir`; None makes the signatures as the node says.
        training_splits: Splits to train on.
        reporting_splits: Splits to judge on.
        timeout_seconds: How long the training may take.
        memory_mb: Memory that it may take, in MiB.
    """

    label_key: str | None = None
    eval_config: str | None = None
    metric: str | None = None
    max_metric_drop: float | None = None
    max_slice_drop: float | None = None
    parse_fn: str | None = None
    export_fn: str | None = None
    training_splits: tuple[str, ...] = ("train",)
    reporting_splits: tuple[str, ...] = ("eval",)
    # An hour: a training takes what its rows and epochs ask for, which nobody here knows; the limit
    # is for what hangs.
    timeout_seconds: int = 3_600
    memory_mb: int = 8_192
