"""Pushes to an endpoint of the loopback SageMaker, by models that are a number."""

import itertools
import json
import threading
import time
from pathlib import Path

from sagemaker_container import answer_of
from sagemaker_loopback import IMAGE, REGION, ROLE, Loopback

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.core.errors import ModelRejected
from tfx_loop.deployment.live_rollout import LiveRollout
from tfx_loop.deployment.sagemaker_pusher.client import Aws
from tfx_loop.deployment.sagemaker_pusher.endpoint_client import EndpointClient
from tfx_loop.deployment.sagemaker_pusher.hosting import CANDIDATE
from tfx_loop.deployment.sagemaker_pusher.push import push
from tfx_loop.deployment.sagemaker_pusher.push_order import EndpointPushOrder, Proofs
from tfx_loop.deployment.sagemaker_pusher.settings import SageMakerPusherSettings
from tfx_loop.deployment.sagemaker_pusher.shadow_proof import ShadowWatch

# The desk's clock runs this much faster than the machine's: a wait of 15 s takes 5 ms.
FASTER = 3_000.0


class EndpointDesk:
    """Pushes models to one endpoint."""

    def __init__(self, loopback: Loopback, bucket: str, name: str, scratch: Path) -> None:
        """Names the endpoint; the first push makes it."""
        self.loopback, self.name, self.scratch = loopback, name, scratch
        self.base = f"s3://{bucket}/{name}"
        self.reports = []
        # Clients take long to make, and are made once for a service.
        self.aws = loopback.aws = getattr(loopback, "aws", None) or Aws(REGION)
        self._tokens = itertools.count()

    def settings(self, **changes) -> SageMakerPusherSettings:
        values = {
            "endpoint": self.name,
            "base_path": self.base,
            "region": REGION,
            "role_arn": ROLE,
            "image": IMAGE,
            "instance_type": "ml.c5.large",
            "instance_count": 2,
            "prove_first": False,
            # Of the desk's clock: 20 s.
            "lock_timeout_seconds": 60_000,
            "endpoint_timeout_seconds": 60_000,
        }
        return SageMakerPusherSettings(**{**values, **changes})

    def model(self, content: str) -> Path:
        folder = self.scratch / f"model-{content}"
        (folder / "variables").mkdir(parents=True, exist_ok=True)
        (folder / "saved_model.pb").write_text(content)
        (folder / "variables" / "variables.index").write_bytes(b"x" * 100)
        return folder

    def push(self, content, run_id="", *, wrong=False, metrics=None, **changes):
        settings = self.settings(**changes)
        aws = self.aws
        order = EndpointPushOrder(
            settings=settings,
            model_dir=self.model(content),
            model_uri=f"/artifacts/{content}",
            run_id=run_id or f"run-{content}",
            token=f"token-{next(self._tokens)}-{threading.get_ident()}",
            metrics=metrics or {},
        )
        expected = answer_of(b"another" if wrong else content.encode())
        shadow = ShadowWatch(
            settings=settings,
            outputs=("score",),
            report=self.reports.append,
            sleep=sleep,
        )
        proofs = Proofs(
            candidate=self._check(aws, expected, CANDIDATE),
            shadow=shadow,
            serving=self._check(aws, expected, ""),
        )
        return push(order, aws, proofs, lambda: time.time_ns() // 1_000_000, clock, sleep)

    def rollout(self) -> LiveRollout:
        return LiveRollout(base_path=self.base, lock_wait_seconds=60_000, clock=clock, sleep=sleep)

    @property
    def record(self):
        return read_record(self.base, self.name)

    @property
    def states(self):
        return {version.version: version.state.value for version in self.record.versions}

    @property
    def actions(self):
        return [event.action for event in self.record.history]

    @property
    def configs(self):
        return sorted(name for name in self.loopback.configs if name.startswith(f"{self.name}-"))

    @property
    def endpoint(self):
        return self.loopback.endpoints[self.name]

    def serves(self, content: str) -> bool:
        return self.ask() == answer_of(content.encode())

    def ask(self) -> float:
        return ask(self.name, client=self.loopback.runtime)

    def _check(self, aws, expected, variant):
        def check(version):
            variants = {version: variant} if variant else {}
            client = EndpointClient(
                aws=aws, endpoint=self.name, outputs=("score",), variants=variants
            )
            answer = client.predict(
                instances=[[1.0]],
                signature_name="",
                version=version,
                request_id=f"golden-{version}",
                golden_token="",
            )
            if answer["score"] != [[expected]]:
                raise ModelRejected(f"Expected {expected}, received {answer['score']}.")

        return check


def clock() -> float:
    return time.monotonic() * FASTER


def sleep(seconds: float) -> None:
    time.sleep(seconds / FASTER)


def ask(endpoint: str, client, inference_id: str = "") -> float:
    """Returns what an endpoint answers to a client."""
    more = {"InferenceId": inference_id} if inference_id else {}
    answer = client.invoke_endpoint(
        EndpointName=endpoint,
        Body=b'{"instances": [[1.0]]}',
        ContentType="application/json",
        **more,
    )
    return json.loads(answer["Body"].read())["predictions"][0][0]


class Traffic:
    """A client that asks an endpoint again and again, and keeps what came."""

    def __init__(self, desk: EndpointDesk, pause: float = 0.03) -> None:
        self.endpoint, self.pause = desk.name, pause
        self.answers, self.lost = [], []
        self._client = desk.loopback.runtime
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            try:
                number = len(self.answers)
                self.answers.append(ask(self.endpoint, self._client, f"client-{number}"))
            except Exception as error:
                self.lost.append(str(error))
            # The containers are threads of this process, and each answer is captured by another.
            time.sleep(self.pause)
