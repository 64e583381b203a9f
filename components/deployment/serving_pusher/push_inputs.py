"""Inputs of a push from TFX: a blessed model on this machine, and golden requests of Examples.

Both pushers take the same inputs, whatever they push to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfx import types
from tfx.components.util import model_utils
from tfx.utils import path_utils

from tfx_loop.contracts.model_properties import is_blessed
from tfx_loop.core.artifacts import Artifacts
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.inputs import sampled_split_uris, single, single_or_none
from tfx_loop.deployment.serving_pusher import golden
from tfx_loop.deployment.serving_pusher.golden_rows import GoldenTerms
from tfx_loop.models.formats import detect
from tfx_loop.models.guard import guard

# Times the rows that are asked. Chosen, not measured.
_ROWS_TO_CHOOSE_FROM = 10


@dataclass(frozen=True, kw_only=True)
class GoldenOrder:
    """Which golden requests are made.

    Attributes:
        rows: How many.
        signature_name: The signature that is asked; empty takes the first that fits.
        features: By input of that signature the features that it takes.
        redact: Features whose values they do not have.
        as_examples: Whether a TFLite model is asked with Examples too.
    """

    rows: int
    signature_name: str = ""
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    redact: tuple[str, ...] = ()
    as_examples: bool = False


def held_back(input_dict: Artifacts) -> str:
    """Returns why the model is not to be pushed; empty where it may."""
    blessing = single_or_none(input_dict, "model_blessing")
    infra = single_or_none(input_dict, "infra_blessing")
    if blessing and not is_blessed(blessing):
        return "not_blessed"
    return "not_infra_blessed" if infra and not model_utils.is_infra_validated(infra) else ""


def pushed_artifact(input_dict: Artifacts) -> tuple[types.Artifact, str]:
    """Returns the artifact that is pushed, and the folder of its model."""
    model = single_or_none(input_dict, "model")
    if model is not None:
        return model, path_utils.serving_model_path(model.uri)
    infra = single(input_dict, "infra_blessing")
    if not infra.get_int_custom_property("has_model"):
        raise ConfigError(
            f"Expected a model in the InfraBlessing {infra.uri}, received none. Give the node a "
            "model, or InfraValidator a RequestSpec with make_warmup."
        )
    return infra, path_utils.stamped_model_path(infra.uri)


def requests_of(
    model_dir: Path, input_dict: Artifacts, order: GoldenOrder
) -> golden.GoldenRequests | None:
    """Returns the golden requests; None where no examples were given."""
    if not input_dict.get("examples"):
        # Before it is copied: a copy no longer shows what was a link.
        guard.check(detect(model_dir))
        return None
    terms = GoldenTerms(
        rows=order.rows,
        signature_name=order.signature_name,
        features=order.features,
        as_examples=order.as_examples,
    )
    uris = sampled_split_uris(input_dict["examples"])
    # Some rows may lack a feature; there is a choice among more than are asked.
    rows = golden.first_examples(uris, order.rows * _ROWS_TO_CHOOSE_FROM)
    if order.redact:
        rows = golden.without_values(rows, order.redact)
    return golden.golden_requests(model_dir, rows, terms)
