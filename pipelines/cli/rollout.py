"""`loop rollout`: what devices run; a version promoted to its next stage, or taken back."""

import argparse
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from tfx_loop.core.errors import ConfigError
from tfx_loop.pipelines.cli import conventions
from tfx_loop.presentation.terminal import TextTable, show

if TYPE_CHECKING:
    from tfx_loop.contracts.rollout_record import Release, Rollout, RolloutEvent

HELP = "what devices run; promote a version to the next stage, or take it back"
_SHOW, _PROMOTE, _ROLL_BACK = "show", "promote", "roll-back"
_EVENTS_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `loop rollout`."""
    parser.add_argument("base", metavar="BASE", help="folder or bucket that devices fetch from")
    parser.add_argument(
        "action",
        nargs="?",
        choices=(_SHOW, _PROMOTE, _ROLL_BACK),
        default=_SHOW,
        help="default: show",
    )
    parser.add_argument("version", nargs="?", type=int, help="version to promote or roll back")
    parser.add_argument(
        "--to-stage", type=int, metavar="N", help="promote to this stage (default: the next)"
    )
    parser.add_argument("--reason", default="", help="why it is rolled back, for the history")
    parser.add_argument("--device", metavar="ID", help="show which version this device gets")
    parser.add_argument("--group", default="default", help="its group (default: default)")


def run(args: argparse.Namespace) -> int:
    """Shows or changes a roll-out; returns 0.

    Raises:
        ConfigError: The version is missing, unknown, or cannot be promoted or rolled back.
        DataError: Nothing was published there, or its record is damaged.
    """
    from tfx_loop.edge.edge_bundle.publish import promote, read_rollout, roll_back
    from tfx_loop.edge.edge_bundle.store import open_store

    store = open_store(args.base)
    if args.action != _SHOW and args.version is None:
        raise ConfigError(
            f"Expected the version to {args.action}, received none. `loop rollout {args.base}` "
            "lists them."
        )
    current = read_rollout(store)
    if args.action == _PROMOTE:
        current = promote(store, args.version, to_stage=args.to_stage, now_ms=_now_ms)
    elif args.action == _ROLL_BACK:
        current = roll_back(store, args.version, reason=args.reason, now_ms=_now_ms)
    show(*parts(current), _of_device(current, args.device, args.group) if args.device else "")
    return conventions.SUCCESS


def parts(current: "Rollout") -> list[str | TextTable]:
    """Returns the versions and the last events."""
    versions = TextTable(
        headings=("version", "state", "stage", "devices", "digest"),
        rows=[_release(release) for release in current.releases],
        numbers=("version",),
    )
    return [f"{current.name}: revision {current.revision}", versions, events(current.history)]


def events(history: "Sequence[RolloutEvent]") -> TextTable:
    """Returns the newest lines of a history; it grows without end."""
    return TextTable(rows=[_event(event) for event in history[-_EVENTS_SHOWN:]])


def _release(release: "Release") -> tuple[str, ...]:
    reached = release.percent() if release.state.value == "candidate" else {}
    shares = ", ".join(f"{share:g} % of {group}" for group, share in reached.items())
    everybody = "all" if release.state.value == "stable" else "none"
    return (
        str(release.version),
        release.state.value,
        f"{release.stage}/{len(release.stages)}",
        shares or everybody,
        release.digest[:12],
    )


def _event(event: "RolloutEvent") -> tuple[str, ...]:
    at = datetime.fromtimestamp(event.at_ms / 1000, tz=timezone.utc)
    told = f"version {event.version}: {event.detail}"
    return f"{at:%Y-%m-%d %H:%M:%S} UTC", event.action, told


def _of_device(current: "Rollout", device: str, group: str) -> str:
    from tfx_loop.contracts.rollout_record import ROLLOUT_POINTER
    from tfx_loop.edge.edge_bundle.on_device import resolve

    found = resolve(ROLLOUT_POINTER.content(current.pointer), device, group)
    version = f"version {found['version']}" if found else "no version yet"
    return f"device {device} of group {group}: {version}"


def _now_ms() -> int:
    return int(time.time() * 1000)
