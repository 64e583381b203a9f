"""A model's signatures in TF Serving's GetModelMetadata form."""

import json
from typing import Any

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from tfx_loop.core.errors import DataError
from tfx_loop.deployment.model_server.logging_gateway import Servable

SIGNATURE_FIELD = "signature_def"


def metadata_response(model_name: str, servable: Servable) -> Any:
    """Returns the GetModelMetadataResponse of a version with its signature definitions."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = model_name
    response.model_spec.version.value = servable.version
    response.metadata[SIGNATURE_FIELD].Pack(_signatures(servable))
    return response


def metadata_json(model_name: str, servable: Servable) -> bytes:
    """Returns the body of TF Serving's REST metadata."""
    shown = _with_defaults(_signatures(servable))
    content = {
        "model_spec": {
            "name": model_name,
            "signature_name": "",
            "version": str(servable.version),
        },
        "metadata": {SIGNATURE_FIELD: shown},
    }
    return json.dumps(content, indent=1).encode()


def check_metadata_fields(fields: list[str]) -> None:
    """Checks what a GetModelMetadata request asks for.

    Raises:
        DataError: In the words of TF Serving.
    """
    if not fields:
        raise DataError("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != SIGNATURE_FIELD:
            raise DataError(f"Metadata field {field} is not supported")


def _with_defaults(message: Any) -> Any:
    """Returns a message as JSON, with the fields that have their default, as TF Serving prints."""
    options = {"preserving_proto_field_name": True}
    try:
        return json_format.MessageToDict(
            message, always_print_fields_with_no_presence=True, **options
        )
    except TypeError:
        # The option's name until protobuf 5.
        return json_format.MessageToDict(message, including_default_value_fields=True, **options)


def _signatures(servable: Servable) -> Any:
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.signature_defs.items():
        signatures.signature_def[name].CopyFrom(definition)
    return signatures
