"""Interface of a service that runs compiled pipelines, and what the loop checks before it."""

import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import yaml

from tfx_loop.core.errors import ConfigError, LoopError, did_you_mean, first_line
from tfx_loop.pipelines.control.launcher import RunState
from tfx_loop.pipelines.runners.remote.spec_check import SpecCheck
from tfx_loop.pipelines.runners.remote.spec_rules import breaches
from tfx_loop.pipelines.runners.remote.targets import Target

# A way through VPN and proxy takes seconds; the clients themselves would try for minutes.
_CONNECT_SECONDS = 10.0
ENDED = (RunState.SUCCEEDED, RunState.FAILED)
_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,?L#-]+")
_PARAMETER_TYPES: Mapping[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
}
_PARAMETER_WORDS = {
    "STRING": "a text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
}
# Vertex makes the resource's name from it, Kubernetes a label: the narrower of both.
RUN_ID_RULE = "at most 63 small letters, digits and hyphens, a letter first"


class ServiceRefused(LoopError):
    """A service that does not answer, or that refuses what it is asked."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A run to start.

    Attributes:
        spec: The compiled pipeline, a `.yaml` file.
        run_id: Names the run: it is started once, however often it is submitted.
        root: Where outputs go.
        parameters: Runtime parameters of the pipeline.
        labels: Labels of the run.
        cache: Take outputs of earlier runs; None for what the pipeline says.
        service_account: Whom the nodes act as; empty for the service's own.
    """

    spec: Path
    run_id: str
    root: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache: bool | None = None
    service_account: str = ""


@dataclass(frozen=True, kw_only=True)
class RemoteRun:
    """A run as its service tells it.

    Attributes:
        run_id: The id that it was submitted under.
        name: What the service calls it.
        state: Where it stands.
        node: The node that failed; empty where none has.
        reason: Why it failed, in the service's words.
        tasks: States of its tasks, in the service's words.
    """

    run_id: str
    name: str
    state: RunState
    node: str = ""
    reason: str = ""
    tasks: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """Runs compiled pipelines."""

    target: Target

    def find(self, run_id: str) -> RemoteRun | None:
        """Returns the run of an id, or None."""
        ...

    def submit(self, submission: Submission) -> RemoteRun:
        """Starts a run; where one of its id was started in between, returns that."""
        ...

    def schedule(self, submission: Submission, cron: str) -> str:
        """Starts a run at each time that a cron line names; returns the schedule's name."""
        ...


def check_submission(submission: Submission, target: Target) -> dict[str, Any]:
    """Returns the spec of a submission that keeps the rules of its target.

    Raises:
        ConfigError: The file holds no compiled pipeline, or one that breaks a rule.
    """
    try:
        # A second document is for KFP's clusters: secrets of single nodes.
        spec = next(yaml.safe_load_all(submission.spec.read_text("utf-8")), None)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"Expected a compiled pipeline in {submission.spec}, received "
            f"{str(error).splitlines()[0]}. Write it with `loop compile`."
        ) from error
    if not isinstance(spec, dict) or not {"root", "components", "deploymentSpec"} <= set(spec):
        raise ConfigError(
            f"Expected a compiled pipeline in {submission.spec}, received another file. Write it "
            "with `loop compile`."
        )
    try:
        found = breaches(SpecCheck(spec=spec, target=target, root=submission.root))
        declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        _check_parameters(submission.parameters, declared)
    except ConfigError:
        raise
    # What a spec is made of has no reader of its own here: the rules meet what is broken in it.
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(
            f"Expected a compiled pipeline in {submission.spec}, received one that is damaged "
            f"({type(error).__name__}: {first_line(error)}). Write it again with `loop compile`."
        ) from error
    # A path may lie on a mount that `loop compile` was told of.
    left = [breach for breach in found if breach.rule != "local-path"]
    if left:
        raise ConfigError(
            f"Expected a pipeline that runs on {target.value}, received {len(left)} breaches of "
            f"its rules: {left[0].sentence}"
        )
    return spec


def check_cron(cron: str, target: Target) -> None:
    """Raises ConfigError where a line names no times to the service; it would refuse it later."""
    # KFP's schedules have seconds in front (robfig/cron), Vertex's are unix-cron with a time zone.
    line, wanted = cron, 6
    if target is Target.VERTEX:
        line, wanted = re.sub(r"^(CRON_)?TZ=\S+\s+", "", cron), 5
    words = line.split()
    if line.startswith("@") or (len(words) == wanted and all(map(_CRON_FIELD.fullmatch, words))):
        return
    first = "minute first" if wanted == 5 else "seconds first"
    raise ConfigError(
        f"Expected a cron line of {wanted} fields, {first}, for {target.value}, received {cron!r}."
    )


def _check_parameters(given: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in declared:
            known = f"among {', '.join(declared)}" if declared else "that the pipeline has, none"
            raise ConfigError(
                f"Expected parameters {known}, received {name!r}.{did_you_mean(name, declared)}"
            )
        kind = str(declared[name].get("parameterType", "STRING"))
        kinds = _PARAMETER_TYPES.get(kind)
        # A truth value is a whole number to Python, and to no service.
        if kinds and (isinstance(value, bool) or not isinstance(value, kinds)):
            quoted = f" As text it is '{name}=\"{value}\"'." if kind == "STRING" else ""
            raise ConfigError(
                f"Expected {_PARAMETER_WORDS[kind]} as the parameter {name}, received {value!r}."
                f"{quoted}"
            )
    lacking = [
        name
        for name, told in declared.items()
        if name not in given and "defaultValue" not in told and not told.get("isOptional")
    ]
    if lacking:
        raise ConfigError(
            f"Expected {', '.join(lacking)} of the pipeline, which has no default, received none. "
            "Give it with --param NAME=VALUE."
        )


def check_reached(name: str, url: str) -> None:
    """Raises ServiceRefused where nobody listens at an address; clients would try for minutes."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise ServiceRefused(
            f"Expected {name} at {url}, received {first_line(error)} Check the address, and the "
            "way to it (VPN, proxy, port-forward)."
        ) from error


def submit_once(service: Service, submission: Submission) -> RemoteRun:
    """Starts the run of an id, unless it was started before, by whomever.

    Raises:
        ServiceRefused: The service does not answer, or refuses.
    """
    return service.find(submission.run_id) or service.submit(submission)


def wait(
    service: Service,
    run: RemoteRun,
    timeout_seconds: float,
    *,
    # A service's node takes a minute to start. Chosen, not measured.
    every_seconds: float = 10.0,
    on_change: Callable[[RemoteRun], None] = lambda run: None,
) -> RemoteRun:
    """Waits for the end of a run, or as long as it may take; returns where it stands then."""
    deadline = time.monotonic() + timeout_seconds
    told: RemoteRun | None = None
    while True:
        if run != told:
            on_change(run)
            told = run
        left = deadline - time.monotonic()
        if run.state in ENDED or left <= 0:
            return run
        time.sleep(min(every_seconds, left))
        found = service.find(run.run_id)
        if found is None:
            raise ServiceRefused(
                f"Expected the run {run.run_id} at {service.target.value}, found none: somebody "
                "deleted it."
            )
        run = found
