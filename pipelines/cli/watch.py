"""`loop watch`: waits for windows and labels, and steps when they are there, day after day.

Each step runs in a process of its own, so that the daemon stays small. Kill it at any point and
start it again: it goes on. SIGTERM ends it when the step that runs has ended, which may train a
model: a supervisor that waits less kills it, and the run is resumed. `--once` does all that is due
and ends, for cron.
"""

import argparse
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tfx_loop.pipelines.cli import conventions, metadata
from tfx_loop.pipelines.cli.step import required_loop_file
from tfx_loop.presentation import arguments

if TYPE_CHECKING:
    from tfx_loop.pipelines.control.watch import StepReport
    from tfx_loop.pipelines.loop_file import LoopFile

HELP = "wait for windows and labels, and step when they are there"
# What an answer of `loop step --json` may take: it is an object of a dozen fields.
_MOST_ANSWER_BYTES = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--once", action="store_true", help="do all that is due, and end")
    parser.add_argument(
        "--poll-seconds",
        type=arguments.above_zero,
        default=60.0,
        metavar="SECONDS",
        help="pause after a look that found nothing to do (default: 60)",
    )
    parser.add_argument(
        "--health-port",
        type=arguments.whole_at_least_zero,
        metavar="PORT",
        help="answer GET /healthz on this machine at this port; 0 takes a free one",
    )
    metadata.add_loop_file(parser)
    conventions.add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Watches until SIGTERM or SIGINT, or with --once until nothing is due."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    from tfx_loop.pipelines.control.health import health_server
    from tfx_loop.pipelines.control.home import open_loop_store
    from tfx_loop.pipelines.control.watch import Watch, WatchSettings
    from tfx_loop.pipelines.notifications.client import sender
    from tfx_loop.pipelines.notifications.outbox import Notifier
    from tfx_loop.pipelines.notifications.settings import Receiver

    loop_file = required_loop_file(args)
    settings, stop = loop_file.settings, threading.Event()
    receivers = [Receiver.of(one) for one in settings.notify]
    notifier = Notifier(
        settings.folder, settings.name, receivers, sender(settings.folder, _clock_ms), _clock_ms
    )
    # TFX is never imported here, and the store opened anew for each look: nothing grows.
    watch = Watch(
        settings.folder,
        lambda: _step(loop_file),
        lambda seen: notifier.tell(open_loop_store(settings.store), seen),
        WatchSettings(poll_seconds=args.poll_seconds),
        _clock_ms,
        stop.wait,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    port = args.health_port
    serving: Any = health_server(watch.health, port) if port is not None else nullcontext()
    with serving as address:
        if address:
            print(f"health: {address}", file=sys.stderr, flush=True)
        last = watch.run(once=args.once)
    told = last.trouble or (f"waits for {last.waits_for}" if last.waits_for else "nothing to do")
    answer = {"waits_for": last.waits_for, "trouble": last.trouble}
    conventions.answer(args, lambda: answer, lambda: [told])
    return conventions.ATTENTION if last.trouble else conventions.SUCCESS


def _step(loop_file: "LoopFile") -> "StepReport":
    """Steps in a child process; raises nothing for what the child says, which is a report."""
    from tfx_loop.pipelines.control.watch import StepReport

    command = [sys.executable, "-m", "tfx_loop.pipelines.cli.main", "step", "--json", "--no-notify"]
    done = subprocess.run(
        [*command, "--loop", str(loop_file.path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    try:
        said = json.loads(done.stdout[-_MOST_ANSWER_BYTES:])
    except ValueError:
        said = {}
    if "worked" in said:
        report = StepReport(**said)
        logging.getLogger(__name__).info("step %s", report.told)
        return report
    error = said.get("error", {})
    ended = f"The step ended with status {done.returncode} and no answer; see the lines above."
    return StepReport(
        worked=False,
        trouble=str(error.get("message", ended)),
        trouble_kind=str(error.get("kind", "StepEnded")),
    )


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000
