"""Vertex AI Pipelines through google-cloud-aiplatform's own client."""

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tfx_loop.core.errors import ConfigError, first_line
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.runners.remote.services import (
    RemoteRun,
    ServiceRefused,
    Submission,
    check_reached,
)
from tfx_loop.pipelines.runners.remote.targets import Target

_STATES = {
    "PIPELINE_STATE_SUCCEEDED": RunState.SUCCEEDED,
    "PIPELINE_STATE_FAILED": RunState.FAILED,
    # Cancelled by a person: for the loop it did not do what it should.
    "PIPELINE_STATE_CANCELLED": RunState.FAILED,
}


class VertexService:
    """Runs pipelines of one project in one location.

    A job's id is the run's id, and Vertex has each id once: of two that submit a run at the same
    time one finds the other's.
    """

    target = Target.VERTEX

    def __init__(self, project: str, location: str, endpoint: str = "") -> None:
        """Makes the client; `endpoint` is another address than Google's, asked by REST.

        Raises:
            ConfigError: google-cloud-aiplatform is not installed.
            ServiceRefused: Nobody answers at the address, or there are no credentials.
        """
        try:
            from google.api_core import exceptions
            from google.cloud import aiplatform
        except ImportError as error:
            raise ConfigError(
                "Expected google-cloud-aiplatform, received no such package: install "
                "tfx-loop[kubeflow]."
            ) from error
        self._api, self._errors = aiplatform, exceptions
        self._parent = f"projects/{project}/locations/{location}"
        chosen: dict[str, Any] = {}
        if endpoint:
            chosen = {"api_endpoint": endpoint, "api_transport": "rest"}
        if urlsplit(endpoint).hostname in ("127.0.0.1", "localhost", "::1"):
            from google.auth.credentials import AnonymousCredentials

            # Nobody's key leaves the machine for a service that is on it.
            chosen["credentials"] = AnonymousCredentials()
        check_reached("Vertex", endpoint or f"https://{location}-aiplatform.googleapis.com")
        with self._told():
            aiplatform.init(project=project, location=location, **chosen)

    def find(self, run_id: str) -> RemoteRun | None:
        """Returns the run of an id, or None."""
        with self._told():
            try:
                job = self._api.PipelineJob.get(f"{self._parent}/pipelineJobs/{run_id}")
            except self._errors.NotFound:
                return None
            # Not job.state and job.task_details: each asks the service again, of another moment.
            return _run(run_id, job.gca_resource)

    def submit(self, submission: Submission) -> RemoteRun:
        """Starts a run; where one of its id was started in between, returns that."""
        with self._told():
            job = self._job(submission)
            # Not job.submit(): that makes a bucket for the root where it finds none, unasked.
            resource = job._gca_resource
            resource.service_account = submission.service_account
            # Over REST it is Conflict, over gRPC its child AlreadyExists.
            with contextlib.suppress(self._errors.Conflict):
                job.api_client.create_pipeline_job(
                    parent=self._parent, pipeline_job=resource, pipeline_job_id=submission.run_id
                )
            found = self.find(submission.run_id)
            if found is None:
                raise ServiceRefused(
                    f"Expected the run {submission.run_id} at Vertex, which took it, found none."
                )
            return found

    def schedule(self, submission: Submission, cron: str) -> str:
        """Starts a run at each time that a cron line names; returns the schedule's name."""
        with self._told():
            made = self._job(submission).create_schedule(
                cron=cron,
                display_name=submission.run_id,
                service_account=submission.service_account or None,
            )
            return str(made.resource_name)

    def _job(self, submission: Submission) -> Any:
        return self._api.PipelineJob(
            display_name=submission.run_id,
            job_id=submission.run_id,
            template_path=str(submission.spec),
            pipeline_root=submission.root,
            parameter_values=dict(submission.parameters),
            labels=dict(submission.labels),
            enable_caching=submission.cache,
        )

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except GoogleAuthError as error:
            raise ServiceRefused(
                f"Expected credentials of Google Cloud, received {first_line(error)} Log in with "
                "`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
            ) from error
        except (self._errors.GoogleAPIError, OSError, ValueError) as error:
            raise ServiceRefused(
                f"Expected Vertex to take a request about {self._parent}, received "
                f"{type(error).__name__}: {first_line(error)}"
            ) from error


def _run(run_id: str, job: Any) -> RemoteRun:
    details = job.job_detail.task_details
    failed = next((one for one in details if one.state.name == "FAILED"), None)
    reason = str(failed.error.message if failed else getattr(job.error, "message", ""))
    return RemoteRun(
        run_id=run_id,
        name=str(job.name),
        # Queued, pending and paused runs go on by themselves, as states of later releases are hoped
        # to.
        state=_STATES.get(job.state.name, RunState.RUNNING),
        node=str(failed.task_name) if failed else "",
        reason=reason.strip(),
        tasks={one.task_name: one.state.name for one in details},
    )
