"""Checks of what a loop stands on: store, server, deployment record, disk, versions, platform.

Each check is a function that returns its lines. None changes anything; one that fails is a line.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tfx_loop.contracts.deployment_record import find_record
from tfx_loop.core.errors import LoopError, first_line
from tfx_loop.core.storage import is_remote
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.control.leases import is_held, lease_from
from tfx_loop.pipelines.control.store_address import SQLITE, read_address
from tfx_loop.pipelines.control.stores import StoreMode, open_store

# Room for one training's artifacts and a day of log. Chosen, not measured.
LOW_DISK_BYTES, LEAST_DISK_BYTES = 5 * 10**9, 5 * 10**8
# A server that takes longer for its status is as good as away for whoever asks.
_SERVER_SECONDS = 5.0
# TFX, and what it was tested with here: Python and TensorFlow (docs/limits.md).
_LANES: Mapping[str, tuple[tuple[int, ...], str]] = {
    "1.16": ((10,), "2.16"),
    "1.21": ((11, 12, 13), "2.21"),
}
_PACKAGES = ("tfx-loop", "tfx", "tensorflow", "tf-keras", "ml-metadata", "protobuf", "apache-beam")
# ML Metadata's wheel of TFX 1.21 needs it; that of 1.16 runs on any since 2.17.
_LEAST_GLIBC = {"1.16": (2, 17), "1.21": (2, 39)}


class Health(str, Enum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class CheckLine:
    """One thing that was looked at.

    Attributes:
        what: Such as `store` or `disk`.
        health: How it is.
        found: What was found.
        remedy: What to do; empty where all is well.
    """

    what: str
    health: Health
    found: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckedPlace:
    """What is looked at.

    Attributes:
        store: Address of ML Metadata.
        model_name: The served model.
        server_url: REST address of its server; empty looks at none.
        base_path: Folder of its versions; empty looks at none.
        folders: Where files grow: artifacts, prediction log, versions.
        begun: Whether a loop has run here: the store of one that has not is made by its first step.
    """

    store: str
    model_name: str
    server_url: str = ""
    base_path: str = ""
    folders: Sequence[str] = ()
    begun: bool = True


def checkup(place: CheckedPlace, environment: Mapping[str, str]) -> list[CheckLine]:
    """Looks at everything; what cannot be looked at is a broken line, and no error."""
    checks: list[tuple[str, Callable[[], list[CheckLine]]]] = [
        ("store", lambda: _store(place)),
        ("record", lambda: _record(place)),
        ("server", lambda: _server(place)),
        ("disk", lambda: _disk(place)),
        ("versions", _versions),
        ("platform", lambda: _platform(environment)),
    ]
    return [line for what, check in checks for line in checked(what, check)]


def checked(what: str, check: Callable[[], list[CheckLine]]) -> list[CheckLine]:
    """Returns what a check says, or that it could not be made."""
    try:
        return check()
    except (LoopError, OSError, sqlite3.Error) as error:
        return [CheckLine(what=what, health=Health.BROKEN, found=first_line(error))]


def _store(place: CheckedPlace) -> list[CheckLine]:
    store = place.store
    address = read_address(store)
    if not place.begun and address.kind == SQLITE and not Path(address.path).exists():
        told = f"{address.shown} is none yet"
        remedy = "`loop step` makes it"
        return [CheckLine(what="store", health=Health.WARN, found=told, remedy=remedy)]
    began = time.monotonic()
    opened = open_store(store, StoreMode.READ)
    types = len(opened.get_execution_types())
    seconds = time.monotonic() - began
    found = f"{address.shown} ({address.kind}), {types} types of nodes, opened in {seconds:.1f} s"
    lines = [CheckLine(what="store", health=Health.OK, found=found)]
    if address.kind == SQLITE:
        lines += _sqlite(address.path)
    # Stores that no loop has written to yet know no leases.
    leases = [lease_from(a) for a in opened.get_artifacts_by_type(ledger.LEASE)]
    last = {lease.run_id: lease for lease in sorted(leases, key=lambda one: one.attempt)}
    open_ones = [lease for lease in last.values() if lease.end.value == "OPEN"]
    for lease in open_ones:
        if lease.owner.is_here and not lease.owner.is_alive():
            lines.append(
                CheckLine(
                    what="run",
                    health=Health.WARN,
                    found=f"{lease.run_id} was cut off: process {lease.owner.pid} is gone",
                    remedy="step the loop: it is resumed",
                )
            )
        elif lease.owner.is_here and is_held(opened, lease):
            told = f"{lease.run_id} is under way in process {lease.owner.pid}"
            lines.append(CheckLine(what="run", health=Health.OK, found=told))
    return lines


def _sqlite(path: str) -> list[CheckLine]:
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    # A pipeline may write meanwhile: its transactions take seconds at most.
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=20)) as database:
        # One finding is enough. `integrity_check` would compare the indices, too, for minutes.
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if answer == "ok":
        return [CheckLine(what="store file", health=Health.OK, found="SQLite finds no damage")]
    return [
        CheckLine(
            what="store file",
            health=Health.BROKEN,
            found=str(answer),
            remedy="restore it from a copy: lost claims are paid for again",
        )
    ]


def _record(place: CheckedPlace) -> list[CheckLine]:
    if not place.base_path:
        return []
    record = find_record(place.base_path)
    if record is None or record.stable is None:
        return [
            CheckLine(
                what="record",
                health=Health.WARN,
                found=f"no stable version in {place.base_path}",
                remedy="run the training pipeline once",
            )
        ]
    lines = [
        CheckLine(
            what="record",
            health=Health.OK,
            found=f"version {record.stable.version} is stable, of {len(record.versions)}",
        )
    ]
    for kind, uri in (
        ("model", record.stable.model_uri),
        ("reference profile", record.stable.reference_profile_uri),
    ):
        if uri and not is_remote(uri) and not Path(uri.removeprefix("file://")).exists():
            lines.append(
                CheckLine(
                    what="record",
                    health=Health.BROKEN,
                    found=f"the {kind} of version {record.stable.version} is gone: {uri}",
                    remedy="put the artifact back: monitoring and retraining need it",
                )
            )
    return lines


def _server(place: CheckedPlace) -> list[CheckLine]:
    if not place.server_url:
        return []
    from tfx_loop.deployment.model_server.client import ModelClient

    client = ModelClient(place.server_url, place.model_name, timeout=_SERVER_SECONDS)
    try:
        states = client.status()
    finally:
        client.close()
    serving = [state.version for state in states if state.state == "AVAILABLE"]
    if not serving and not place.begun:
        told = f"{place.server_url} answers, and has no version of {place.model_name} yet"
        return [CheckLine(what="server", health=Health.OK, found=told)]
    if not serving:
        told = f"{place.server_url} serves no version of {place.model_name}"
        remedy = "look at its log; push a version"
        return [CheckLine(what="server", health=Health.BROKEN, found=told, remedy=remedy)]
    found = f"{place.server_url} serves version {', '.join(map(str, serving))}"
    record = find_record(place.base_path) if place.base_path else None
    if record is not None and record.stable and record.stable.version not in serving:
        return [
            CheckLine(
                what="server",
                health=Health.BROKEN,
                found=f"{found}, and the record says {record.stable.version}",
                remedy="wait until it has loaded; else look at its log",
            )
        ]
    return [CheckLine(what="server", health=Health.OK, found=found)]


def _disk(place: CheckedPlace) -> list[CheckLine]:
    address = read_address(place.store)
    paths = [*([address.path] if address.path else []), *place.folders]
    devices: dict[int, tuple[str, int]] = {}
    for path in paths:
        if is_remote(path):
            continue
        there = _nearest(Path(path.removeprefix("file://")).absolute())
        # One line a file system, however many of the folders it holds.
        devices.setdefault(os.stat(there).st_dev, (str(there), shutil.disk_usage(there).free))
    lines = []
    for path, free in devices.values():
        health = Health.OK
        if free < LOW_DISK_BYTES:
            health = Health.BROKEN if free < LEAST_DISK_BYTES else Health.WARN
        remedy = "" if health is Health.OK else "make room; `loop gc` says what may go"
        found = f"{free / 1e9:.1f} GB free at {path}"
        lines.append(CheckLine(what="disk", health=health, found=found, remedy=remedy))
    return lines


def _nearest(path: Path) -> Path:
    """Returns the folder that is there: a file's own, or the one that a path will be made in."""
    return next(one for one in (path, *path.parents) if one.is_dir())


def _versions() -> list[CheckLine]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    python = ".".join(map(str, sys.version_info[:3]))
    told = f"Python {python}, " + ", ".join(f"{name} {number}" for name, number in found.items())
    lacking = [name for name in ("tfx", "tensorflow", "ml-metadata") if name not in found]
    if lacking:
        remedy = "install tfx-loop with its dependencies"
        return [
            CheckLine(
                what="versions",
                health=Health.BROKEN,
                found=f"{', '.join(lacking)} not installed; {told}",
                remedy=remedy,
            )
        ]
    pythons, tensorflow = _LANES.get(_minor(found["tfx"]), ((), ""))
    tested = sys.version_info.minor in pythons and _minor(found["tensorflow"]) == tensorflow
    known = " or ".join(
        f"TFX {tfx} with TensorFlow {tf} on Python 3.{'/3.'.join(map(str, minors))}"
        for tfx, (minors, tf) in _LANES.items()
    )
    return [
        CheckLine(
            what="versions",
            health=Health.OK if tested else Health.WARN,
            found=told,
            remedy="" if tested else f"tested are {known}",
        )
    ]


def _platform(environment: Mapping[str, str]) -> list[CheckLine]:
    lines = []
    system, machine = platform.system(), platform.machine()
    name, number = platform.libc_ver()
    told = f"{system} on {machine}, {name or 'no glibc'} {number}"
    lane = _minor(_version("tfx"))
    least = _LEAST_GLIBC.get(lane, (2, 17))
    glibc = tuple(int(part) for part in number.split(".")[:2] if part.isdigit())
    fits = (system, machine, name) == ("Linux", "x86_64", "glibc") and glibc >= least
    lines.append(
        CheckLine(
            what="platform",
            health=Health.OK if fits else Health.BROKEN,
            found=told,
            remedy=""
            if fits
            else f"TFX {lane} needs Linux on x86_64 with glibc {'.'.join(map(str, least))}",
        )
    )
    if environment.get("PYTHONDONTWRITEBYTECODE"):
        lines.append(
            CheckLine(
                what="platform",
                health=Health.WARN,
                found="PYTHONDONTWRITEBYTECODE is set: each start compiles TFX anew, for 40 s",
                remedy="unset it",
            )
        )
    if environment.get("TF_USE_LEGACY_KERAS") not in (None, "", "1", "True", "true"):
        lines.append(
            CheckLine(
                what="platform",
                health=Health.WARN,
                found=f"TF_USE_LEGACY_KERAS is {environment['TF_USE_LEGACY_KERAS']!r}",
                remedy="set it to 1 where TensorFlow Transform runs: it knows Keras 2 alone",
            )
        )
    if importlib.util.find_spec("pip") is None:
        lines.append(
            CheckLine(
                what="platform",
                health=Health.WARN,
                found="no pip in this environment: TFX's module_file needs it",
                remedy="install pip, or name functions by import path",
            )
        )
    return lines


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
