"""Parts that `loop status`, `loop promote` and `loop rollback` share."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.pipelines.cli.rollout import events
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.contracts.deployment_record import Deployment, DeploymentRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the base path and --json; `metadata.settle` finds a base path that is not given."""
    parser.add_argument(
        "base",
        nargs="?",
        metavar="BASE",
        help="base path that versions are pushed to (default: that of the loop file)",
    )
    metadata.add_loop_file(parser)
    conventions.add_json(parser)


def base_of(args: argparse.Namespace) -> str:
    """Returns the base path; raises ConfigError where neither arguments nor a loop file say it."""
    if not args.base:
        raise ConfigError(
            "Expected the base path that versions are pushed to, received none, and the working "
            "folder has no loop.toml. Name it, or the file with --loop."
        )
    return str(args.base)


def add_change_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what commands have that change something."""
    add_arguments(parser)
    parser.add_argument(
        "--metadata",
        metavar="STORE",
        help=f"{metadata.STORE_HELP}; it is recorded there, so that `loop explain` tells it",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a push that is under way is waited for (default: 600)",
    )


def answer(args: argparse.Namespace, record: "DeploymentRecord", *more: str) -> int:
    """Shows a record."""
    from tfx_loop.core.json_codec import to_json

    conventions.answer(args, lambda: to_json(record), lambda: [*parts(record), *more])
    return conventions.SUCCESS


def answer_change(args: argparse.Namespace, change: Callable[[], "DeploymentRecord"]) -> int:
    """Changes what serves, records it in ML Metadata, and shows the record.

    Raises:
        DataError: --metadata names no store; nothing was changed.
    """
    if not args.metadata:
        return answer(args, change(), "not recorded in ML Metadata: give --metadata")
    metadata.check_is_store(args.metadata)
    from tfx_loop.pipelines.control.rollouts import record_rollouts

    record = change()
    recorded = record_rollouts(metadata.open_writable(args.metadata), record, base_of(args))
    return answer(args, record, f"{recorded} recorded in {args.metadata}")


def parts(record: "DeploymentRecord") -> list[str | TextTable]:
    """Returns the versions, with the share that each has of the traffic, and the last events."""
    versions = TextTable(
        headings=("version", "state", "traffic", "labels", "variant", "digest", "reason"),
        rows=[_version(record, version) for version in record.versions],
        numbers=("version",),
    )
    served = f"{record.model_name}, served by SageMaker's endpoint {record.endpoint}"
    head = served if record.endpoint else record.model_name
    return [head, versions, events(record.history)]


def _version(record: "DeploymentRecord", version: "Deployment") -> tuple[str, ...]:
    share = {"stable": 1.0 - record.canary_share, "canary": record.canary_share}
    traffic = share.get(version.state.value, 0.0)
    own = [version.state.value] if version.state.value in share else []
    given = [name for name, number in record.labels.items() if number == version.version]
    return (
        str(version.version),
        version.state.value,
        f"{100 * traffic:g} %",
        ", ".join([*own, *sorted(given)]),
        version.variant,
        version.model_digest.removeprefix("sha256:")[:12],
        version.reason,
    )
