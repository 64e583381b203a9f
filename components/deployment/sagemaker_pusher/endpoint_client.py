"""Golden requests to an endpoint: the body that AWS' TensorFlow image hands on to TF Serving."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_loop.core.errors import ConfigError, ServingError
from tfx_loop.deployment.model_server.client import plain
from tfx_loop.deployment.sagemaker_pusher.client import RUNTIME, Aws
from tfx_loop.deployment.sagemaker_pusher.hosting import JSON_TYPE

# botocore's service model: the most that InvokeEndpoint takes.
MAX_BODY_BYTES = 6_291_456
_MAX_INFERENCE_ID = 64


@dataclass(frozen=True, kw_only=True)
class EndpointClient:
    """Asks an endpoint, as golden requests ask a server.

    Attributes:
        aws: Carries out the calls.
        endpoint: The endpoint's name.
        outputs: The outputs of the signature; TF Serving leaves out the name of a single one.
        variants: The variant that a version is asked by; others are asked without one.
    """

    aws: Aws
    endpoint: str
    outputs: Sequence[str]
    variants: Mapping[int, str] = field(default_factory=dict)

    def predict(
        self,
        *,
        instances: Sequence[Any],
        signature_name: str,
        version: int,
        request_id: str,
        golden_token: str,
    ) -> Mapping[str, Sequence[Any]]:
        """Returns outputs by name.

        The captured record is known as golden by its inference id. `golden_token` has no place in a
        request to SageMaker, which strips headers that it does not know.

        Raises:
            ConfigError: The rows are too large for one request.
            ServingError: There is no answer, or another one than TF Serving's.
        """
        body = json.dumps({"signature_name": signature_name, "instances": plain(instances)})
        if len(body) > MAX_BODY_BYTES:
            raise ConfigError(
                f"Expected golden rows of at most {MAX_BODY_BYTES} bytes, received {len(body)}. "
                "Lower golden_rows."
            )
        variant = self.variants.get(version)
        target = {"TargetVariant": variant} if variant else {}
        answer = self.aws.call(
            RUNTIME,
            "invoke_endpoint",
            EndpointName=self.endpoint,
            Body=body.encode(),
            ContentType=JSON_TYPE,
            Accept=JSON_TYPE,
            InferenceId=request_id[:_MAX_INFERENCE_ID],
            **target,
        )
        return outputs_of(answer["Body"].read(), self.outputs)


def outputs_of(body: bytes, outputs: Sequence[str]) -> Mapping[str, Sequence[Any]]:
    """Returns the outputs by name in an answer of TF Serving; raises ServingError."""
    try:
        content = json.loads(body)
    except ValueError as error:
        raise ServingError(
            f"Expected JSON from the endpoint, received {len(body)} bytes of something else. Give "
            "it AWS' TensorFlow image."
        ) from error
    if isinstance(content, dict) and isinstance(content.get("outputs"), dict):
        return dict(content["outputs"])
    rows = content.get("predictions") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise ServingError(
            "Expected predictions from the endpoint, received JSON without them. Give it AWS' "
            "TensorFlow image."
        )
    if rows and isinstance(rows[0], dict) and set(rows[0]) != {"b64"}:
        return {name: [row[name] for row in rows] for name in rows[0]}
    if len(outputs) != 1:
        raise ServingError(
            f"Expected the outputs {sorted(outputs)} by name, received rows without names."
        )
    return {outputs[0]: rows}
