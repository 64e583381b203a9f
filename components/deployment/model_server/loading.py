"""Version folders opened as what they hold: a SavedModel or a TFLite model."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_loop.contracts.variant_note import FLOAT, TFLITE, read_note
from tfx_loop.core.child_process.worker import run
from tfx_loop.deployment.model_server.logging_gateway import Servable
from tfx_loop.deployment.model_server.saved_model_servable import SavedModelServable
from tfx_loop.deployment.model_server.tflite_servable import TFLiteServable
from tfx_loop.models.formats import is_saved_model, tflite_file
from tfx_loop.models.signing.signer import Trust

_LOG = logging.getLogger(__name__)
# Above what serves: the child has what is left of the processors.
_CHILD_NICENESS = 10


def load_version(
    version: int, folder: Path, prefer_tflite: bool = False, trust: Trust | None = None
) -> Servable:
    """Returns the servable of a version folder.

    Args:
        version: Its number.
        folder: With saved_model.pb, `model.tflite` (TF Serving's name) or `tflite` (TFX's).
        prefer_tflite: Which of them where both are there; as TF Serving's --prefer_tflite_model.
        trust: By whom the folder has to be signed; None asks for no signature.

    Raises:
        DataError: There is no SavedModel to serve.
        ModelError: The model is damaged, cannot be served, or is not as it was signed.
    """
    if trust is not None:
        signer = trust.check(folder)
        _LOG.info("verified version=%d signed_by=%s", version, signer)
    file = tflite_file(folder)
    if file is not None and (prefer_tflite or not is_saved_model(folder)):
        return TFLiteServable(version, file, read_note(folder, TFLITE))
    return SavedModelServable(version, folder, read_note(folder, FLOAT).variant)


def check_in_child(
    version: int, folder: Path, prefer_tflite: bool = False, public_key: str = ""
) -> None:
    """Loads a version in a process of its own, so that what breaks there breaks nothing here.

    Raises:
        ChildFailed: The child was aborted, hung or ran out of memory.
        LoopError: As `load_version`.
    """
    payload = {"version": version, "folder": str(folder), "prefer_tflite": prefer_tflite}
    payload["public_key"] = public_key
    run(f"{__name__}:load_for_check", payload, doing=f"version {version} of {folder} to load")
    _LOG.info("version=%d state=loaded_in_child", version)


def load_for_check(payload: Mapping[str, Any]) -> str:
    """Loads a version and forgets it; in a child process, for `check_in_child`."""
    os.nice(_CHILD_NICENESS)
    trust = Trust.read(payload["public_key"]) if payload["public_key"] else None
    load_version(payload["version"], Path(payload["folder"]), payload["prefer_tflite"], trust)
    return "loaded"
