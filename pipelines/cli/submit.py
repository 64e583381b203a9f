"""`loop submit`: start a compiled pipeline on Vertex AI or Kubeflow Pipelines, once a run id.

Without --wait, exit code 0 says that the service has taken the run. With it, 0 that the run
succeeded, 3 that it failed (the node and its words are told), 4 that it has not ended in time.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation import arguments

if TYPE_CHECKING:
    from tfx_loop.pipelines.runners.remote.services import RemoteRun, Service, Submission
    from tfx_loop.presentation.terminal import TextTable

HELP = "start a compiled pipeline on Vertex AI or Kubeflow Pipelines"

_OF_VERTEX = ("project", "location", "endpoint", "label")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("spec", type=Path, metavar="FILE.yaml", help="what `loop compile` wrote")
    parser.add_argument("--target", choices=("vertex", "kubeflow"), required=True, help="service")
    parser.add_argument("--root", required=True, metavar="URI", help="where outputs go")
    parser.add_argument(
        "--run-id",
        required=True,
        type=_run_id,
        metavar="ID",
        help="names the run, which is started once, however often it is submitted",
    )
    _add_addresses(parser)
    conventions.add_assignments(parser, "--param", "a runtime parameter of the pipeline")
    conventions.add_assignments(parser, "--label", "a label of the run on Vertex")
    parser.add_argument("--no-cache", action="store_true", help="run every node anew")
    parser.add_argument("--service-account", default="", metavar="NAME", help="whom nodes act as")
    parser.add_argument(
        "--schedule",
        default="",
        metavar="CRON",
        help="start a run at each of these times instead; Kubeflow wants seconds first",
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end of the run")
    parser.add_argument(
        "--timeout",
        type=arguments.above_zero,
        default=86_400.0,
        metavar="SECONDS",
        help="how long to wait (default: a day)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the file and show what would be sent"
    )
    conventions.add_json(parser)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", default="", metavar="ID", help="Vertex: the project")
    parser.add_argument("--location", default="", metavar="REGION", help="Vertex: the location")
    parser.add_argument(
        "--endpoint", default="", metavar="URL", help="Vertex: another address than Google's"
    )
    parser.add_argument("--host", default="", metavar="URL", help="Kubeflow: address of its API")
    parser.add_argument(
        "--experiment", default="tfx-loop", metavar="NAME", help="Kubeflow (default: tfx-loop)"
    )
    parser.add_argument("--namespace", default="", metavar="NAME", help="Kubeflow: of the runs")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help="Kubeflow: file that holds a bearer token"
    )


def run(args: argparse.Namespace) -> int:
    """Submits, and waits where that is asked for."""
    from tfx_loop.pipelines.runners.remote.services import (
        Submission,
        check_cron,
        check_submission,
        submit_once,
        wait,
    )
    from tfx_loop.pipelines.runners.remote.targets import Target

    conventions.quiet_libraries()
    _check_options(args)
    target = Target(args.target)
    if args.schedule:
        check_cron(args.schedule, target)
    submission = Submission(
        spec=args.spec,
        run_id=args.run_id,
        root=args.root,
        parameters=dict(args.param),
        labels={name: str(value) for name, value in args.label},
        cache=False if args.no_cache else None,
        service_account=args.service_account,
    )
    spec = check_submission(submission, target)
    if args.dry_run:
        return _tell_dry_run(args, submission, spec)
    service = _service(args)
    if args.schedule:
        name = service.schedule(submission, args.schedule)
        conventions.answer(args, lambda: {"schedule": name}, lambda: [f"Scheduled as {name}."])
        return conventions.SUCCESS
    found = submit_once(service, submission)
    if args.wait:
        found = wait(service, found, args.timeout, on_change=_show)
    conventions.answer(args, lambda: _content(found), lambda: _parts(found))
    return _status(found, waited=args.wait)


def _check_options(args: argparse.Namespace) -> None:
    """Refuses what would be passed over without a word."""
    others = {"vertex": ("host", "namespace", "token_file"), "kubeflow": _OF_VERTEX}[args.target]
    if strange := [name for name in others if getattr(args, name)]:
        flag = f"--{strange[0].replace('_', '-')}"
        args.command.error(f"{flag} is none of the target {args.target}")
    if args.schedule and args.wait:
        args.command.error("--wait waits for one run, --schedule starts many: give one of them")


def _service(args: argparse.Namespace) -> "Service":
    if args.target == "vertex":
        from tfx_loop.pipelines.runners.remote.vertex_client import VertexService

        if not (args.project and args.location):
            args.command.error("the target vertex needs --project and --location")
        return VertexService(args.project, args.location, args.endpoint)
    from tfx_loop.pipelines.runners.remote.kubeflow_client import KubeflowService, read_token

    if not args.host:
        args.command.error("the target kubeflow needs --host")
    token = read_token(args.token_file) if args.token_file else ""
    return KubeflowService(args.host, args.experiment, args.namespace, token)


def _tell_dry_run(args: argparse.Namespace, submission: "Submission", spec: dict[str, Any]) -> int:
    content = {
        "pipeline": spec["pipelineInfo"]["name"],
        "target": args.target,
        "run_id": submission.run_id,
        "root": submission.root,
        "parameters": dict(submission.parameters),
        "labels": dict(submission.labels),
        "nodes": sorted(spec["root"]["dag"]["tasks"]),
    }
    told = (
        f"{content['pipeline']} would be started on {args.target} as {submission.run_id}: "
        f"{len(content['nodes'])} nodes, outputs below {submission.root}. Nothing was sent."
    )
    conventions.answer(args, lambda: content, lambda: [told])
    return conventions.SUCCESS


def _run_id(text: str) -> str:
    if not re.fullmatch(r"[a-z][-a-z0-9]{0,62}", text):
        from tfx_loop.pipelines.runners.remote.services import RUN_ID_RULE

        raise argparse.ArgumentTypeError(f"expected {RUN_ID_RULE}, received {text!r}")
    return text


def _show(run: "RemoteRun") -> None:
    done = sum(state in ("SUCCEEDED", "SKIPPED") for state in run.tasks.values())
    print(f"{run.run_id}: {run.state.value}, {done} nodes done", file=sys.stderr, flush=True)


def _status(run: "RemoteRun", *, waited: bool) -> int:
    from tfx_loop.pipelines.control.launcher import RunState

    if run.state is RunState.FAILED:
        return conventions.ATTENTION
    if waited and run.state is not RunState.SUCCEEDED:
        return conventions.UNDECIDED
    return conventions.SUCCESS


def _content(run: "RemoteRun") -> dict[str, Any]:
    return {**vars(run), "state": run.state.value, "tasks": dict(run.tasks)}


def _parts(run: "RemoteRun") -> "list[str | TextTable]":
    from tfx_loop.presentation.terminal import TextTable

    rows = sorted(run.tasks.items())
    table: list[str | TextTable] = (
        [TextTable(rows=rows, headings=("node", "state"))] if rows else []
    )
    failed = f" Node {run.node} failed: {run.reason}" if run.node else ""
    return [*table, f"Run {run.run_id} ({run.name}): {run.state.value}.{failed}"]
