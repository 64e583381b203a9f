"""Kubeflow Pipelines through its own client, kfp.Client."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError, first_line
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.runners.remote.services import (
    RemoteRun,
    ServiceRefused,
    Submission,
    check_reached,
)
from tfx_loop.pipelines.runners.remote.targets import Target

# Until an address has to answer.
_SECONDS = 30.0
_STATES = {
    "SUCCEEDED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    # Cancelled by a person: for the loop it did not do what it should.
    "CANCELED": RunState.FAILED,
}


class KubeflowService:
    """Runs pipelines at one address.

    KFP has run ids of its own, and lets names be given twice: a run is found by its name, which is
    the run's id. Of two processes that submit one run within the same second, both may start it;
    who may meet another takes the loop's lease first.
    """

    target = Target.KUBEFLOW

    def __init__(self, host: str, experiment: str, namespace: str = "", token: str = "") -> None:
        """Makes the client.

        Raises:
            ConfigError: kfp is not installed.
            ServiceRefused: Nobody answers at the address, or the token is refused.
        """
        try:
            import kfp
            import kfp_server_api
        except ImportError as error:
            raise ConfigError(
                "Expected kfp, received no such package: install tfx-loop[kubeflow]."
            ) from error
        self._api_error: type[Exception] = kfp_server_api.ApiException
        self._host, self._experiment = host, experiment
        self._namespace = namespace or None
        check_reached("Kubeflow Pipelines", host)
        with self._told():
            _check_token(host, token)
            self._client = kfp.Client(host=host, existing_token=token or None)

    def find(self, run_id: str) -> RemoteRun | None:
        """Returns the run of an id, or None; of several the oldest."""
        named = {"key": "display_name", "operation": "EQUALS", "stringValue": run_id}
        with self._told():
            listed = self._client.list_runs(
                # Runs of one name are the starts of two processes at once: never many.
                page_size=10,
                sort_by="created_at asc",
                namespace=self._namespace,
                filter=json.dumps({"predicates": [named]}),
            )
            runs = [one for one in listed.runs or () if one.display_name == run_id]
            return _run(self._client.get_run(runs[0].run_id)) if runs else None

    def submit(self, submission: Submission) -> RemoteRun:
        """Starts a run."""
        with self._told():
            made = self._client.create_run_from_pipeline_package(
                str(submission.spec),
                arguments=dict(submission.parameters),
                run_name=submission.run_id,
                experiment_name=self._experiment,
                namespace=self._namespace,
                pipeline_root=submission.root,
                enable_caching=submission.cache,
                service_account=submission.service_account or None,
            )
            return _run(self._client.get_run(made.run_id))

    def schedule(self, submission: Submission, cron: str) -> str:
        """Starts a run at each time that a cron line (six fields, seconds first) names."""
        with self._told():
            experiment = self._client.create_experiment(self._experiment, namespace=self._namespace)
            made = self._client.create_recurring_run(
                experiment.experiment_id,
                submission.run_id,
                cron_expression=cron,
                params=dict(submission.parameters),
                pipeline_package_path=str(submission.spec),
                pipeline_root=submission.root,
                enable_caching=submission.cache,
                service_account=submission.service_account or None,
            )
            return str(made.recurring_run_id)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        from urllib3.exceptions import HTTPError

        try:
            # The client prints links to its pages, which are no part of an answer.
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except self._api_error as error:
            body = str(getattr(error, "body", "") or error)
            raise ServiceRefused(
                f"Expected Kubeflow Pipelines at {self._host} to take the request, received status "
                f"{getattr(error, 'status', '?')}: {_message(body)}"
            ) from error
        except (HTTPError, OSError, ValueError, RuntimeError) as error:
            raise ServiceRefused(
                f"Expected Kubeflow Pipelines at {self._host}, received "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error


def read_token(path: Path) -> str:
    """Returns the bearer token in a file.

    Raises:
        ConfigError: It cannot be read, or holds none.
    """
    try:
        words = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Expected a file with a bearer token at {path}, received: {first_line(error)}"
        ) from error
    if len(words) != 1:
        raise ConfigError(f"Expected one bearer token in {path}, received {len(words)} words.")
    return words[0]


def _check_token(host: str, token: str) -> None:
    """Asks once, as the client would ask five times and wait 5 s after each refusal."""
    from kfp_server_api import ApiClient, Configuration, HealthzServiceApi

    configuration = Configuration(host=host)
    if token:
        configuration.api_key = {"authorization": token}
        configuration.api_key_prefix = {"authorization": "Bearer"}
    HealthzServiceApi(ApiClient(configuration)).get_healthz(_request_timeout=_SECONDS)


def _run(run: Any) -> RemoteRun:
    details = (run.run_details.task_details if run.run_details else None) or []
    failed = next((one for one in details if one.state == "FAILED"), None)
    error = failed.error if failed and failed.error else run.error
    return RemoteRun(
        run_id=str(run.display_name),
        name=str(run.run_id),
        state=_STATES.get(str(run.state), RunState.RUNNING),
        node=str(failed.display_name) if failed else "",
        reason=str(error.message or "").strip() if error else "",
        tasks={str(one.display_name): str(one.state) for one in details},
    )


def _message(body: str) -> str:
    """Returns the message of an error's body; its first line where that is no JSON."""
    try:
        told = json.loads(body)
        return str(told.get("message") or told.get("error") or body)
    except (ValueError, AttributeError):
        return body.strip().splitlines()[0] if body.strip() else "no message"
