"""A shadow variant watched for a while, and what came out as a report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.hosting import SHADOW_VARIANT
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings
from tfx_loop.deployment.sagemaker_pusher.shadow_capture import (
    CapturedAnswer,
    CapturedShadowReport,
    answers_in,
    captured_lines,
    judge,
    shadow_report,
)


@dataclass(frozen=True, kw_only=True)
class ShadowWatch:
    """Waits while a shadow answers, then compares what was captured of both.

    Attributes:
        aws: Carries out the calls.
        settings: Where the capture is, and how long it takes.
        outputs: The outputs of the signature that clients ask.
        report: Takes the report, whatever it says.
        sleep: Waits, in seconds.
        now: The time, UTC; the hours of captured files are AWS' own.
    """

    aws: Aws
    settings: SageMakerPusherSettings
    outputs: Sequence[str]
    report: Callable[[CapturedShadowReport], None]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)

    def __call__(self, champion: int, candidate: int) -> None:
        """Compares; raises ModelRejected where the shadow decides otherwise too often."""
        since = self.now()
        self.sleep(float(self.settings.shadow_seconds))
        until = self.now()
        production, first = self._captured(self.settings.variant_name, since, until)
        shadow, second = self._captured(SHADOW_VARIANT, since, until)
        made = shadow_report(
            (champion, candidate), production, shadow, self.outputs, first + second
        )
        self.report(made)
        judge(made, self.settings.min_agreement)

    def _captured(
        self, variant: str, since: datetime, until: datetime
    ) -> tuple[list[CapturedAnswer], int]:
        settings = self.settings
        lines = captured_lines(
            self.aws, settings.capture_uri, settings.endpoint, variant, since, until
        )
        return answers_in(lines, since)
