"""Settings of Distiller: the student, the softening, the weights of its losses. Pure."""

from dataclasses import dataclass, field

from tfx_loop.core.errors import ConfigError
from tfx_loop.optimization.fine_tuning.settings import FineTuningNodeSettings, FineTuningSettings


@dataclass(frozen=True, kw_only=True)
class FeaturePair:
    """A layer of the teacher whose output a layer of the student learns to make.

    Attributes:
        teacher: Name of the teacher's layer.
        student: Name of the student's layer.
    """

    teacher: str
    student: str


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """How a student is taught.

    Attributes:
        student_fn: Import path `package.module.function` of a function that returns the student, a
            tf_keras model; trained or not, compiled or not.
        temperature: Softens the teacher's probabilities; 1 takes them as they are. Regression has
            none.
        alpha: Weight of learning from the teacher; 1 - alpha is that of learning from the labels.
        features: Layers whose outputs are matched; the teacher must be a Keras model then.
        feature_weight: Weight of matching each pair.
        augment_fn: Import path of a function `(inputs, rng) -> inputs` over arrays by input name;
            it makes the copies. Empty for none.
        augmented_copies: How often the rows are repeated, augmented. The teacher answers each copy
            once.
        teacher_output: Which output of the teacher is learned from, when it has several.
        fine_tuning: Epochs, batch, learning rate, seed.
    """

    student_fn: str
    # Hinton et al. 2015, section 3: 2.5 to 4 did best for small students.
    temperature: float = 4.0
    # The teacher weighs more: it tells how alike the classes are, a label only which one it is.
    # Chosen, not measured.
    alpha: float = 0.7
    features: tuple[FeaturePair, ...] = ()
    feature_weight: float = 1.0
    augment_fn: str = ""
    # Five times the teacher's answers and five times the time of an epoch; more views of the same
    # rows tell ever less. Chosen, not measured.
    augmented_copies: int = 4
    teacher_output: str | None = None
    fine_tuning: FineTuningSettings = field(
        # A student starts from nothing, where the other techniques go on from trained weights.
        default_factory=lambda: FineTuningSettings(epochs=30, learning_rate=None)
    )

    def __post_init__(self) -> None:
        if not self.student_fn:
            raise ConfigError(
                "Expected student_fn='package.module.function' that returns the student, "
                "received none."
            )
        if not self.temperature > 0:
            raise ConfigError(
                f"Expected a temperature above 0, received {self.temperature}. "
                "Hinton et al. used 1 to 20; the smaller the student, the lower."
            )
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"Expected alpha from 0 to 1, received {self.alpha}.")
        if not self.feature_weight >= 0:
            raise ConfigError(
                f"Expected a feature_weight of at least 0, received {self.feature_weight}."
            )
        if self.augmented_copies < 1:
            raise ConfigError(
                f"Expected augmented_copies of at least 1, received {self.augmented_copies}. "
                "For none, leave augment_fn out."
            )


@dataclass(frozen=True, kw_only=True)
class DistillerSettings(FineTuningNodeSettings, DistillationSettings):
    """What Distiller is told: how the student is taught, and how it is judged."""
