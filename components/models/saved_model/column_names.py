"""Names of the columns that a SavedModel's signature takes and gives."""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.core.errors import ModelError
from tfx_loop.models.saved_model.graph import (
    public_signatures,
    read_graph,
    specs,
)
from tfx_loop.models.tensors import COLUMNS_SIGNATURE, DEFAULT_SIGNATURE


@dataclass(frozen=True, kw_only=True)
class SignatureColumns:
    """Columns of a signature.

    Attributes:
        inputs: Names of what it takes, sorted, as a signature keeps no order; none where it takes
            one matrix or serialised examples, whose columns it does not name.
        outputs: Names of what it gives, sorted.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def signature_columns(folder: Path, signature: str = "") -> SignatureColumns:
    """Returns the columns of a signature.

    Args:
        folder: A SavedModel.
        signature: Which; empty takes `serving_columns` where there is one, else `serving_default`.

    Raises:
        ModelError: There is no SavedModel, or no such signature.
    """
    known = public_signatures(read_graph(folder))
    preferred = [signature] if signature else [COLUMNS_SIGNATURE, DEFAULT_SIGNATURE]
    chosen = next((name for name in preferred if name in known), None)
    if chosen is None:
        raise ModelError(
            f"Expected the signature {' or '.join(preferred)} in {folder}, found "
            f"{', '.join(sorted(known)) or 'none'}. Name the columns in a list."
        )
    taken, given = specs(known[chosen])
    inputs = tuple(sorted(spec.name for spec in taken))
    return SignatureColumns(
        inputs=inputs if len(inputs) > 1 else (),
        outputs=tuple(sorted(spec.name for spec in given)),
    )
