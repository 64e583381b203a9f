"""The part of `loop status` that asks AWS what an endpoint of SageMaker serves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfx_loop.core.errors import LoopError, first_line
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.contracts.deployment_record import DeploymentRecord
    from tfx_loop.deployment.sagemaker_pusher.live_state import LiveEndpoint


@dataclass(frozen=True, kw_only=True)
class LiveAnswer:
    """What AWS said, or why it was not to be had.

    Attributes:
        endpoint: What it serves; None where AWS did not say.
        refusal: Why it did not, in one line; empty where it did.
    """

    endpoint: "LiveEndpoint | None" = None
    refusal: str = ""

    @property
    def needs_attention(self) -> bool:
        """Whether the record says otherwise, or the last update failed."""
        return self.endpoint is not None and bool(
            self.endpoint.disagreement or self.endpoint.failure
        )

    def content(self) -> dict[str, Any]:
        """Returns the answer for programs."""
        from tfx_loop.core.json_codec import to_json

        told = to_json(self.endpoint) if self.endpoint is not None else None
        return {"live": told, "live_refusal": self.refusal}

    def parts(self) -> list[str | TextTable]:
        """Returns the answer for people."""
        found = self.endpoint
        if found is None:
            return [f"AWS does not say what the endpoint serves: {self.refusal}"]
        with_config = f" with config {found.config}" if found.config else ""
        lines = [f"AWS says: {found.status}{with_config}"]
        if found.update:
            lines.append(f"update under way to: {found.update}")
        if found.failure:
            lines.append(f"last update failed: {found.failure}")
        if found.disagreement:
            lines.append(f"disagrees with the record: {found.disagreement}")
        variants = TextTable(
            headings=("variant", "version", "traffic", "model"),
            rows=[
                (
                    one.name,
                    "unknown" if one.version is None else str(one.version),
                    "shadow" if one.shadow else f"{100 * one.traffic:.3g} %",
                    one.model,
                )
                for one in found.variants
            ],
        )
        return ["\n".join(lines), *([variants] if found.variants else [])]


def ask_endpoint(record: "DeploymentRecord | None", base_path: str) -> LiveAnswer | None:
    """Returns what AWS says of a record's endpoint; None where a model server serves."""
    if record is None or not record.endpoint:
        return None
    from tfx_loop.deployment.sagemaker_pusher.client import Aws
    from tfx_loop.deployment.sagemaker_pusher.live_state import live_endpoint, region_of

    try:
        aws = Aws(region_of(record), quick=True)
        return LiveAnswer(endpoint=live_endpoint(record, base_path, aws))
    except LoopError as error:
        return LiveAnswer(refusal=first_line(error))
