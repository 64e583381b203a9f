"""Custom properties of TFX's own artifacts that our nodes write and read."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelProperties:
    """What a Model says of itself.

    Attributes:
        variant: Which optimisation it is, such as `float` or `int8`; None for a model as trained.
        chosen_from: Name that VariantChooser knew it by.
        chosen_input: Input of VariantChooser that it came in by.
    """

    variant: str | None = None
    chosen_from: str | None = None
    chosen_input: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExamplesProperties:
    """What Examples of SpanExampleGen say of themselves.

    Attributes:
        spans: Their spans, such as `1,2,3`.
        rows: How many there are.
    """

    spans: str
    rows: int
