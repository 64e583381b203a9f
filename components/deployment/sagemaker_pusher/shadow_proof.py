"""A shadow variant watched for a while, and what came out as a report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tfx_loop.core.bucket.trees import open_tree
from tfx_loop.deployment.sagemaker_pusher.hosting import SHADOW_VARIANT
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings
from tfx_loop.deployment.sagemaker_pusher.shadow_capture import (
    CapturedAnswers,
    CapturedShadowReport,
    captured_answers,
    judge,
    shadow_report,
)


@dataclass(frozen=True, kw_only=True)
class ShadowWatch:
    """Waits while a shadow answers, then compares what was captured of both.

    Attributes:
        settings: Where the capture is, and how long it takes.
        outputs: The outputs of the signature that clients ask.
        report: Takes the report, whatever it says.
        sleep: Waits, in seconds.
        now_ms: The time, milliseconds UTC; the hours of captured files are AWS' own.
    """

    settings: SageMakerPusherSettings
    outputs: Sequence[str]
    report: Callable[[CapturedShadowReport], None]
    sleep: Callable[[float], None] = time.sleep
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def __call__(self, champion: int, candidate: int) -> None:
        """Compares; raises ModelRejected where the shadow decides otherwise too often."""
        since = self.now_ms()
        self.sleep(float(self.settings.shadow_seconds))
        until = self.now_ms()
        production = self._captured(self.settings.variant_name, since, until)
        shadow = self._captured(SHADOW_VARIANT, since, until)
        made = shadow_report((champion, candidate), production, shadow)
        self.report(made)
        judge(made, self.settings.min_agreement)

    def _captured(self, variant: str, since_ms: int, until_ms: int) -> CapturedAnswers:
        place = f"{self.settings.capture_uri.rstrip('/')}/{self.settings.endpoint}"
        return captured_answers(open_tree(place), variant, self.outputs, since_ms, until_ms)
