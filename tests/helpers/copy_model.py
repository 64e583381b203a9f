"""A node that stands for an optimiser: its variant is the model itself, a few bytes smaller."""

import os
import shutil

from tfx import v1 as tfx

Model = tfx.types.standard_artifacts.Model


@tfx.dsl.components.component
def CopyModel(  # noqa: N802 - a node
    model: tfx.dsl.components.InputArtifact[Model],
    variant: tfx.dsl.components.OutputArtifact[Model],
):
    serving = os.path.join(variant.uri, "Format-Serving")
    shutil.copytree(os.path.join(model.uri, "Format-Serving"), serving, dirs_exist_ok=True)
    # Nothing reads it, and without it the copy is the smaller of the two.
    os.remove(os.path.join(serving, "fingerprint.pb"))
