"""`loop status`: one screen about a loop, or which version of a model serves."""

import argparse
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from tfx_loop.core.durations import MS_PER_HOUR
from tfx_loop.pipelines.cli import conventions, deployments
from tfx_loop.pipelines.cli.live_endpoint import ask_endpoint
from tfx_loop.presentation.terminal import TextTable

if TYPE_CHECKING:
    from tfx_loop.pipelines.control.overview import LoopOverview, WindowOverview

HELP = "versions, windows, labels, decisions and what is waited for, on one screen"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    deployments.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Shows the loop of the loop file; with a base path alone, its deployment record.

    Of a SageMaker endpoint AWS is asked, too, what it serves now.

    Raises:
        DataError: There is no record, or no store.
    """
    if args.loop is None:
        return _base_alone(args)
    from tfx_loop.contracts.deployment_record import read_record
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.pipelines.cli import metadata
    from tfx_loop.pipelines.control.overview import overview
    from tfx_loop.pipelines.control.watch_state import read_state

    settings = args.loop.settings
    record = read_record(args.base, settings.name)
    found = overview(
        metadata.open_readonly(settings.store),
        settings.name,
        settings.mode.value,
        record,
        read_state(settings.folder),
    )
    live = ask_endpoint(record, args.base)
    conventions.answer(
        args,
        lambda: {**to_json(found), **(live.content() if live else {})},
        lambda: [*_parts(found), *(live.parts() if live else [])],
    )
    attention = found.trouble or found.approvals or (live and live.needs_attention)
    return conventions.ATTENTION if attention else conventions.SUCCESS


def _base_alone(args: argparse.Namespace) -> int:
    from tfx_loop.core.json_codec import to_json
    from tfx_loop.deployment.live_rollout import read_deployments

    base = deployments.base_of(args)
    record = read_deployments(base)
    live = ask_endpoint(record, base)
    conventions.answer(
        args,
        lambda: {**to_json(record), **(live.content() if live else {})},
        lambda: [*deployments.parts(record), *(live.parts() if live else [])],
    )
    return conventions.ATTENTION if live and live.needs_attention else conventions.SUCCESS


def _parts(found: "LoopOverview") -> list[str | TextTable]:
    head = f"{found.model_name}: mode {found.mode}, {found.windows_decided} windows decided"
    looked = _time(found.looked_at_ms) if found.looked_at_ms else "never"
    lines = [head, f"looked last: {looked}"]
    if found.waits_for:
        lines.append(f"waits for: {found.waits_for}")
    if found.trouble:
        lines.append(f"in the way: {found.trouble}")
    if found.held is not None:
        lines.append(f"launches held back by {found.held.by}: {found.held.reason}")
    lines += [
        f"decision {number} waits for a person: loop approve {number} --by NAME"
        for number in found.approvals
    ]
    versions = TextTable(
        headings=("version", "state", "pushed", "reason"),
        rows=[
            (str(one.version), one.state.value, _time(one.pushed_at_ms), one.reason)
            for one in found.versions
        ],
        numbers=("version",),
    )
    windows = TextTable(
        headings=(
            *("window", "rows", "labelled", "by age", "corrected"),
            *("verdict", "reason", "admission", "training"),
        ),
        rows=[_window(one) for one in found.windows],
        numbers=("rows", "labelled", "corrected"),
    )
    return ["\n".join(lines), versions, windows]


def _window(one: "WindowOverview") -> tuple[str, ...]:
    # Three ages tell the course: the first, one in the middle, and the last that is known.
    ages = one.by_age
    shown = [ages[0], ages[len(ages) // 2], ages[-1]] if len(ages) > 2 else list(ages)
    by_age = ", ".join(f"{_age(each.age_ms)} {100 * each.share:.0f} %" for each in shown)
    trained = f"{one.outcome} (version {one.version})" if one.version else one.outcome
    return (
        one.window,
        "" if one.rows is None else f"{one.rows:,}",
        "" if one.labelled is None else f"{100 * one.labelled:.0f} %",
        by_age,
        str(one.corrected) if one.corrected else "",
        one.verdict or "waits",
        one.reason,
        one.admission,
        trained,
    )


def _age(ms: int) -> str:
    hours = ms // MS_PER_HOUR
    return f"{hours}h" if hours < 24 else f"{hours // 24}d"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d %H:%M")
