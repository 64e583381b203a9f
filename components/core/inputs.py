"""The artifacts that TFX hands to an executor: one where one is meant, all splits of several.

A channel may bring several artifacts, as a Resolver over a rolling window of spans does. Of
Examples all are read. Everything else is one thing (the model, the profile, the log of a window),
and to take one of several would leave the others out unsaid.
"""

from collections.abc import Sequence

from tfx.types import artifact, artifact_utils

from tfx_loop.core.artifacts import Artifacts
from tfx_loop.core.errors import DataError

# Where a few rows of any kind do, those that the model was not trained on come first.
_SAMPLED_SPLITS = ("eval", "train")


def single(inputs: Artifacts, name: str) -> artifact.Artifact:
    """Returns the one artifact of an input.

    Raises:
        DataError: There is none, or there are several.
    """
    if (found := single_or_none(inputs, name)) is None:
        raise DataError(f"Expected one artifact as input {name!r}, received none. Connect one.")
    return found


def single_or_none(inputs: Artifacts, name: str) -> artifact.Artifact | None:
    """Returns the one artifact of an optional input.

    Raises:
        DataError: There are several.
    """
    given = inputs.get(name) or []
    if len(given) > 1:
        raise DataError(
            f"Expected one artifact as input {name!r}, received {len(given)}: "
            f"{', '.join(found.uri for found in given)}. Let a Resolver choose one of them."
        )
    return given[0] if given else None


def split_uris(examples: Sequence[artifact.Artifact], splits: Sequence[str]) -> list[str]:
    """Returns the folders of some splits of all artifacts.

    Raises:
        DataError: There is no artifact, one lacks a split, or holds something else than
            tf.Examples.
    """
    if not examples:
        raise DataError("Expected Examples, received none. Connect an ExampleGen.")
    uris = []
    for given in examples:
        # Written by TFX's ExampleGens; what others import is tf.Examples unless it says otherwise.
        payload = given.get_string_custom_property("payload_format") or "FORMAT_TF_EXAMPLE"
        if payload != "FORMAT_TF_EXAMPLE":
            raise DataError(
                f"Expected examples of FORMAT_TF_EXAMPLE, received {payload} in {given.uri}. Give "
                "this node rows as tf.Examples, or leave it out of the pipeline: a message that "
                "holds a list of rows, as rankings have it, is not one row."
            )
        known = artifact_utils.decode_split_names(given.split_names)
        for split in splits:
            if split not in known:
                raise DataError(
                    f"Expected a split {split!r} in the examples, received {known} in {given.uri}. "
                    "Correct the splits that the node is told to read."
                )
            uris.append(str(artifact_utils.get_split_uri([given], split)))
    return uris


def sampled_split_uris(examples: Sequence[artifact.Artifact]) -> list[str]:
    """Returns a split of each artifact, for those who need a few rows: eval, train or the first.

    Raises:
        DataError: As `split_uris`, or an artifact has no split.
    """
    uris = []
    for given in examples:
        names = artifact_utils.decode_split_names(given.split_names)
        if not names:
            raise DataError(f"Expected splits in the examples {given.uri}, received none.")
        split = next((name for name in _SAMPLED_SPLITS if name in names), names[0])
        uris.extend(split_uris([given], [split]))
    return uris
