"""Measurements of a champion in one window: the parts of a retrain decision's evidence."""

from dataclasses import dataclass, field

from tfx_loop.core.json_codec import LEFT_OUT, none_as


@dataclass(frozen=True, kw_only=True)
class FaultyWindow:
    """A window whose rows are kept from measuring, training, gates and profiles.

    Attributes:
        window: Its name.
        start_ms: Begin, milliseconds UTC.
        end_ms: End, exclusive.
        faults: What is broken, as `feature: fault`; of labels as `labels: fault`.
    """

    window: str
    start_ms: int
    end_ms: int
    faults: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The window and what is broken in it."""
        return f"{self.window} ({', '.join(self.faults)})" if self.faults else self.window


@dataclass(frozen=True, kw_only=True)
class ServedLoss:
    """What the served model itself lost, by its logged answers; losses are means per row.

    Attributes:
        mean: Loss of the answers that the champion gave in the label window.
        standard_error: Of that, over blocks of time.
        stand_in: Loss of its stand-in on the same rows.
        excess_error: Standard error of the difference, row by row, over blocks of time.
        constant: Loss on these rows of the one answer that loses least on the training sample.
        promised: Loss of its own scores on rows held out of its training; None without such scores.
        promised_error: Standard error of that.
        rows: Labelled rows of the window that the champion answered.
    """

    mean: float
    standard_error: float
    stand_in: float
    excess_error: float
    constant: float
    promised: float | None = field(default=None, metadata=none_as(LEFT_OUT))
    promised_error: float | None = field(default=None, metadata=none_as(LEFT_OUT))
    rows: int

    @property
    def excess(self) -> float:
        """By how much the served model lost more than its stand-in."""
        return self.mean - self.stand_in


@dataclass(frozen=True, kw_only=True)
class MeasuredLoss:
    """What a retraining would have saved in one window, as it was measured.

    Attributes:
        mean: Loss saved per row, in units of the task's loss.
        standard_error: Of the mean, over blocks of time.
        z: The mean in standard errors.
        relative: The mean in units of the window's loss.
        relative_standard_error: The standard error in those units.
        champion_loss: Mean loss per row of the champion's stand-in.
        champion_loss_error: Standard error of that.
        promised_loss: Mean loss per row on rows held out of the champion's training sample.
        promised_loss_error: Standard error of that.
        risen_z: How far the champion's loss exceeds the promised one, in standard errors.
        rows: Labelled rows that both stand-ins were compared on.
        served: What the served model itself lost; None where its answers cannot tell.
    """

    mean: float
    standard_error: float
    z: float
    relative: float
    relative_standard_error: float
    champion_loss: float
    champion_loss_error: float
    promised_loss: float
    promised_loss_error: float
    risen_z: float
    rows: int
    served: ServedLoss | None = field(default=None, metadata=none_as(LEFT_OUT))


@dataclass(frozen=True, kw_only=True)
class SavingState:
    """What is believed about the champion after some windows; savings in windows' losses.

    Attributes:
        accumulated: Savings that counted, up to the label window.
        latest: The last window's saving if it counted, else 0.
        label_window: The last window that was observed; empty before the first.
        faulty_version: The version that was called a MODEL_FAULT last, as long as no answers of a
            later one have shown that one to be sound; None for none.
        model_version: Whose savings these are; None in files of earlier releases, where they are
            those of the version that the decision is about.
    """

    accumulated: float = 0.0
    latest: float = 0.0
    label_window: str = ""
    faulty_version: int | None = field(default=None, metadata=none_as(LEFT_OUT))
    model_version: int | None = field(default=None, metadata=none_as(LEFT_OUT))
