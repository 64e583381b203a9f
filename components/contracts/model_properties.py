"""Custom properties of TFX's own artifacts that our nodes write and read."""

from dataclasses import dataclass
from typing import Protocol


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
class BlessingProperties:
    """What a ModelBlessing says of the model that it is about, where a variant is concerned.

    TFX's LatestBlessedModel takes the newest blessing with `blessed` 1, here and on Vertex, and the
    model that its `current_model_id` names, as the next baseline. A variant must never be that for
    the pipeline that trains: a TFLite file fails it, a pruned model lowers what is to be beaten.

    Attributes:
        blessed: What stock nodes read: whether they may push, and whether the model that
            `current_model_id` names may be a baseline.
        variant_blessed: Whether the variant passed its own gate; None for a model as trained.
        current_model: URI of the model passed on.
        current_model_id: Id in ML Metadata of a model as trained that passed its gate.
        variant_model_id: Id of the variant passed on.
    """

    blessed: bool
    variant_blessed: bool | None = None
    current_model: str | None = None
    current_model_id: int | None = None
    variant_model_id: int | None = None


class Blessing(Protocol):
    """The part of a ModelBlessing artifact that says whether the model passed."""

    def get_int_custom_property(self, key: str) -> int:
        """Returns a custom property."""


def is_blessed(blessing: Blessing) -> bool:
    """Says whether a model passed its gate, be it one as trained or a variant."""
    keys = ("blessed", "variant_blessed")
    return any(blessing.get_int_custom_property(key) == 1 for key in keys)


@dataclass(frozen=True, kw_only=True)
class ExamplesProperties:
    """What Examples of SpanExampleGen say of themselves.

    Attributes:
        spans: Their spans, such as `1,2,3`.
        rows: How many there are.
    """

    spans: str
    rows: int
