"""Launchers of the loop whose pipelines run on Kubeflow Pipelines or Vertex AI.

A launcher of this process says which pipeline answers a request; it is compiled, checked and
submitted here. The service keeps the run while nobody of the loop is at work: `launch` hands it
over, and the loop's next step asks how it stands. A run that has ended is recorded into the loop's
store before its end is told, so that decisions, lineage and claims read one store whatever ran the
pipeline.
"""

import hashlib
import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tfx_loop.contracts.node_record import NodeEnd
from tfx_loop.core.bucket import tfx_filesystem
from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.control import leases
from tfx_loop.pipelines.control.launcher import LaunchRequest, RunState, RunStatus
from tfx_loop.pipelines.control.leases import LeaseEnd
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.runners.remote.compiling import (
    CompiledPipeline,
    CompileSettings,
    compile_pipeline,
    write_spec,
)
from tfx_loop.pipelines.runners.remote.node_recording import keep_spec, kept_spec, with_records
from tfx_loop.pipelines.runners.remote.recording import RunToRecord, record_run
from tfx_loop.pipelines.runners.remote.services import (
    ENDED,
    RemoteRun,
    Service,
    Submission,
    submit_once,
)
from tfx_loop.pipelines.runners.remote.spec_check import SpecCheck

_LOG = logging.getLogger(__name__)
# Of 63 characters, four are kept for the number of a start.
_LONGEST = 59
_ENDS = {RunState.SUCCEEDED: LeaseEnd.SUCCEEDED, RunState.FAILED: LeaseEnd.FAILED}


class PipelineChoice(Protocol):
    """Says which pipeline answers a request: a launcher of this process."""

    def check(self, request: LaunchRequest) -> None:
        """Raises a LoopError where a run could not begin."""
        ...

    def pipeline(self, request: LaunchRequest) -> Any:
        """Returns the TFX pipeline that answers a request."""
        ...


@dataclass(frozen=True, kw_only=True)
class RemoteSettings:
    """How the pipelines of a loop run on a service.

    Attributes:
        compile: The service, the image, and what its containers have.
        root: Where outputs go; its bucket has to be there.
        labels: Labels of each run, on Vertex.
        service_account: Whom the nodes act as; empty for the service's own.
    """

    compile: CompileSettings
    root: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""


class RemoteLauncher:
    """Submits the pipelines that another launcher chooses, and records what became of them.

    A run that failed is started again under its id with a number behind it (`RUN-2`), as a service
    has each id once; one that the service has is never started a second time.
    """

    def __init__(
        self, store: Store, choice: PipelineChoice, service: Service, settings: RemoteSettings
    ) -> None:
        """Makes a launcher.

        Args:
            store: The loop's metadata store.
            choice: Says which pipeline answers a request.
            service: Runs it.
            settings: How.
        """
        # The loop reads decisions and profiles where the containers left them.
        tfx_filesystem.register()
        self._store, self._choice = store, choice
        self._service, self._settings = service, settings
        self._checked: tuple[LaunchRequest, CompiledPipeline] | None = None

    def check(self, request: LaunchRequest) -> None:
        """Raises a LoopError where a run could not begin, before it counts as a start.

        Raises:
            ConfigError: The pipeline breaks a rule of the service.
        """
        self._choice.check(request)
        compiled = compile_pipeline(self._choice.pipeline(request), self._settings.compile)
        if compiled.breaches:
            raise ConfigError(
                f"Expected a pipeline that runs on {self._service.target.value}, received "
                f"{len(compiled.breaches)} breaches of its rules: {compiled.breaches[0].sentence} "
                "`loop compile` lists them all."
            )
        # Without the number of the start, as the pipeline of a second start is the same.
        self._checked = (replace(request, attempt=0), compiled)

    def launch(self, run_id: str, request: LaunchRequest) -> None:
        """Hands the run over to the service, unless it has it."""
        starts = self._starts(run_id)
        if starts and starts[-1].state is not RunState.FAILED:
            return
        if self._checked is None or self._checked[0] != replace(request, attempt=0):
            self.check(request)
        assert self._checked is not None
        service_id = _start_id(run_id, len(starts) + 1)
        compiled, root = self._checked[1], self._settings.root
        spec = with_records(compiled.spec, root, service_id, run_id)
        # Before the run: whichever process finds it ended needs the spec to record it.
        keep_spec(spec, root, service_id)
        with tempfile.TemporaryDirectory(prefix="loop-submit-") as folder:
            path = Path(folder, "pipeline.yaml")
            write_spec(replace(compiled, spec=spec), path)
            submission = Submission(
                spec=path,
                run_id=service_id,
                root=root,
                labels={**self._settings.labels, "model": _label(request.model_name)},
                # A run of the loop is about new rows: outputs of an earlier one under the same keys
                # are not.
                cache=False,
                service_account=self._settings.service_account,
            )
            run = submit_once(self._service, submission)
        _LOG.info("run=%s submitted=%s service_run=%s", run_id, service_id, run.name)

    def state(self, run_id: str) -> RunStatus:
        """Says where the run stands; one that has ended is recorded first.

        Raises:
            ServiceRefused: The service does not answer.
        """
        starts = self._starts(run_id)
        if not starts:
            return RunStatus(state=RunState.ABSENT)
        last = starts[-1]
        if last.state not in ENDED:
            return RunStatus(state=last.state)
        root = self._settings.root
        spec = kept_spec(root, last.run_id)
        check = SpecCheck(spec=spec, target=self._service.target, root=root)
        nodes = record_run(self._store, RunToRecord(run_id=run_id, check=check, remote=last))
        status = RunStatus(state=last.state)
        if last.state is RunState.FAILED:
            # A node's own words say more than "exit code 1" of a service, where it left some.
            failed = next((one for one in nodes if one.end is NodeEnd.FAILED), None)
            reason = (failed and failed.reason) or last.reason or "no reason was told"
            node = failed.node if failed else last.node
            status = RunStatus(state=last.state, node=node, reason=reason)
        lease = leases.latest(self._store, run_id)
        if lease is not None:
            leases.settle(self._store, lease, _ENDS[last.state], status.node, status.reason)
        return status

    def _starts(self, run_id: str) -> Sequence[RemoteRun]:
        """Returns the runs that the service has of an id, the first start first."""
        starts: list[RemoteRun] = []
        while found := self._service.find(_start_id(run_id, len(starts) + 1)):
            starts.append(found)
        return starts


def _start_id(run_id: str, number: int) -> str:
    """Returns what a service calls a start of a run; it takes fewer letters than ids may have."""
    name = re.sub(r"[^-a-z0-9]", "-", run_id.lower())
    if name != run_id or len(name) > _LONGEST or not name[:1].isalpha():
        digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
        # Cut or changed names may meet: 32 bits of the whole id keep them apart. `r-` makes a
        # letter the first; it, a hyphen and eight digits are eleven signs.
        name = f"r-{name[: _LONGEST - 11]}-{digest}"
    return name if number == 1 else f"{name}-{number}"


def _label(text: str) -> str:
    """Returns a text as Google's labels take it: 63 small letters, digits, - and _."""
    kept = (sign if sign.isalnum() or sign in "-_" else "-" for sign in text.lower())
    return "".join(kept)[:63]
