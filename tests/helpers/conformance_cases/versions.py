"""Version folders as they come and go: what serves, and what the status says."""

import os
import shutil
from pathlib import Path
from typing import Any

from conformance_cases.case import Case
from conformance_cases.configuration import warmed
from conformance_cases.server import RunningServer, World, until

FEATURE = "Version folders"
_BODY = '{"instances": [2.0]}'
# Of x = 2: half plus two, and half plus three.
_TWO, _THREE = (200, {"predictions": [3.0]}), (200, {"predictions": [4.0]})


def _ask(server: RunningServer, version: int | None = None) -> Any:
    part = "" if version is None else f"/versions/{version}"
    return server.rest("POST", f"/v1/models/default{part}:predict", _BODY)


def _states(server: RunningServer) -> dict[str, str]:
    _, found = server.rest("GET", "/v1/models/default")
    return {s["version"]: s["state"] for s in found.get("model_version_status", [])}


def before_any_version(world: World) -> tuple[int, bytes, dict[str, str]]:
    """Returns what a server without versions answers to a request for their states."""
    return world.once(_seen)["before"]


def _seen(world: World) -> dict[str, Any]:
    """Returns what was answered while versions came and went."""
    base = world.scratch / "versions_base"
    base.mkdir()
    server = world.start(
        "versions",
        f"--model_base_path={base}",
        "--file_system_poll_wait_seconds=1",
        "--load_retry_interval_micros=200000",
    ).wait()
    seen: dict[str, Any] = {"before": server.http("GET", "/v1/models/default")}
    world.put("two", base, "41")
    seen["appears"] = until(lambda: (found := _ask(server))[0] == 200 and found)
    world.put("three", base, "42")
    seen["newer"] = until(lambda: (found := _ask(server)) == _THREE and found)
    seen["older_states"] = until(lambda: (s := _states(server)).get("41") == "END" and s)
    seen["older_by_number"] = _ask(server, 41)[0]
    world.put("two", base, "7")
    _broken(base / "43")
    seen["broken_state"] = until(lambda: _states(server).get("43") == "END" and "END")
    seen["broken_serves"] = _ask(server)
    seen["broken_error"] = server.rest("GET", "/v1/models/default/versions/43")[1]
    seen["lower_number"] = _ask(server)
    shutil.rmtree(base / "43")
    shutil.rmtree(base / "42")
    seen["deleted"] = until(lambda: (found := _ask(server)) == _TWO and found)
    for name in ("notanumber", "4.5", "20261129163000123456", "-5"):
        shutil.copytree(world.made / "three", base / name)
    (base / "99").write_text("a file")
    world.put("three", base, "00000050")
    seen["zeros"] = until(lambda: (found := _ask(server)) == _THREE and found)
    seen["states"] = _states(server)
    world.put("two", base, "50")
    os.symlink(world.made / "two", base / "60")
    seen["link"] = until(lambda: (found := _ask(server)) == _TWO and found)
    world.put("three", base, "20261129163000")
    seen["timestamp"] = until(lambda: (found := _ask(server)) == _THREE and found)
    slow = base / "20261129163001"
    _copied_slowly(world.made / "two", slow)
    seen["slow"] = until(lambda: (found := _ask(server)) == _TWO and found)
    for folder in list(base.iterdir()):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink()
    until(lambda: False, 2.5)
    seen["all_deleted"] = _ask(server)
    seen["said"] = server.said()
    server.stop()
    return seen


def _broken(folder: Path) -> None:
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"no model")


def _copied_slowly(model: Path, folder: Path) -> None:
    """Copies a model as `cp -r` over a slow network does: its files one after the other."""
    folder.mkdir()
    shutil.copy(model / "saved_model.pb", folder)
    until(lambda: False, 2.5)
    shutil.copytree(model / "variables", folder / "variables")


def _saw(name: str, key: str, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, lambda world: world.once(_seen)[key], wanted, differs)


def _error(world: World) -> object:
    (status,) = world.once(_seen)["broken_error"]["model_version_status"]
    return bool(status["status"]["error_message"]), status["status"]["error_code"] != "OK"


def _ignored(world: World) -> object:
    states = world.once(_seen)["states"]
    return sorted(set(states) - {"7", "41", "42", "43", "50"})


def _negative(world: World) -> object:
    return "-5" in world.once(_seen)["states"]


def _warned(world: World) -> object:
    said = world.once(_seen)["said"]
    return said.count("20261129163000123456")


CASES = [
    _saw("a version that appears is loaded", "appears", _TWO),
    _saw("a higher number takes over", "newer", _THREE),
    Case(FEATURE, "the older one ends",
         lambda world: world.once(_seen)["older_states"],
         {"41": "END", "42": "AVAILABLE"}),
    _saw("the older one is not served by its number", "older_by_number", 404),
    _saw("a lower number changes nothing", "lower_number", _THREE),
    _saw("a version that cannot be loaded ends after its tries", "broken_state", "END"),
    _saw("the version before serves on", "broken_serves", _THREE),
    Case(FEATURE, "the status tells why", _error, (True, True)),
    _saw("without the highest the next one is loaded again", "deleted", _TWO),
    _saw("leading zeros", "zeros", _THREE),
    Case(FEATURE, "other names are ignored", _ignored, []),
    Case(FEATURE, "negative numbers are versions", _negative, True,
         "a folder such as -5 is more likely a mistake than a version"),
    Case(FEATURE, "a number beyond int64 is told once", _warned, 1),
    _saw("a symbolic link", "link", _TWO),
    _saw("a timestamp as a number", "timestamp", _THREE),
    _saw("a version copied slowly comes alive", "slow", _TWO),
    Case(FEATURE, "where all are deleted nothing is served",
         lambda world: world.once(_seen)["all_deleted"][0], 404,
         "what serves goes on serving: a folder is emptied by mistake, or by a mount that is gone"),
    Case(FEATURE, "the ports are closed until there is a version",
         lambda world: warmed(world)["listens_without_base_path"], False,
         "the server waits for the first push with open ports: pipelines start it before that"),
]  # fmt: skip
