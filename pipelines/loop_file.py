"""`loop.toml`: what a user states about a loop, as a file that commands find."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import Any

from tfx_loop.contracts.capture_source import CaptureSource
from tfx_loop.core.errors import ConfigError, did_you_mean
from tfx_loop.core.import_path import user_function
from tfx_loop.core.settings import from_table
from tfx_loop.core.storage import is_remote
from tfx_loop.core.toml_file import parse_toml, read_toml
from tfx_loop.pipelines.control.label_timing import DEFAULT_LATE, Labels
from tfx_loop.pipelines.control.windows import Days, Every, Months, Windows
from tfx_loop.pipelines.loop_settings import ModelLoopSettings, Serving
from tfx_loop.pipelines.runner_settings import Runner

LOOP_FILE = "loop.toml"
_REMEDY = "`loop init` writes such a file."
_MONTH, _DAY, _ROWS = "month", "day", "rows"


@dataclass(frozen=True, kw_only=True)
class LoopFile:
    """A file that was read.

    Attributes:
        path: The file.
        settings: What it says.
    """

    path: Path
    settings: ModelLoopSettings

    def pipeline(self) -> Any:
        """Returns the user's training pipeline, imported; modules beside the file are found.

        Raises:
            ConfigError: The file names none, or there is none of the name.
        """
        if not self.settings.pipeline:
            raise ConfigError(
                f"Expected the import path of your training function as pipeline in {self.path}, "
                "received none. Write it there, such as 'training.pipeline'."
            )
        folder = str(self.path.parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        return user_function(self.settings.pipeline, f"pipeline in {self.path}")


def read_loop_file(path: str | Path) -> LoopFile:
    """Returns what a file says; paths in it are relative to its folder.

    Raises:
        DataError: It is not there, or no TOML.
        ConfigError: A key is unknown, lacks, or has a value that cannot work.
    """
    file = Path(path).absolute()
    return LoopFile(path=file, settings=_settings(read_toml(file, _REMEDY), file))


def settings_of(text: str, path: str | Path) -> ModelLoopSettings:
    """Returns what a text says that is to stand in a file; raises as `read_loop_file`."""
    return _settings(parse_toml(text, path, _REMEDY), Path(path).absolute())


def _settings(values: dict[str, Any], file: Path) -> ModelLoopSettings:
    folder = file.parent
    try:
        values["labels"] = _labels(values.get("labels", {}), folder)
        values["serving"] = _serving(values.get("serving", {}), folder)
        if "runner" in values:
            values["runner"] = _runner(values["runner"], folder)
        if not isinstance(values.get("home", ""), str):
            raise ConfigError(f"Expected text as home, received {values['home']!r}.")
        if values.get("home") != "":
            values["home"] = _beside(folder, values.get("home", "out"))
        if isinstance(store := values.get("metadata"), str) and "://" not in store and store:
            values["metadata"] = _beside(folder, store)
        if "windows" in values:
            values["windows"] = _windows(values["windows"])
        return ModelLoopSettings.of(values)
    except ConfigError as error:
        raise ConfigError(f"{str(error).rstrip('.')} (in {file}).") from error


def find_loop_file(path: str | Path | None) -> LoopFile | None:
    """Returns the file that a command was given, else the one of the working folder, else None."""
    if path is not None:
        return read_loop_file(path)
    return read_loop_file(LOOP_FILE) if Path(LOOP_FILE).is_file() else None


def _labels(said: Any, folder: Path) -> Labels:
    values = {"path": said} if isinstance(said, str) else _table(said, "labels", ("path", "late"))
    if "path" not in values:
        raise ConfigError("Expected the folder of labels as path in [labels], received none.")
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            raise ConfigError(f"Expected text as {name} in [labels], received {value!r}.")
    return Labels(_beside(folder, values["path"]), values.get("late", DEFAULT_LATE))


def _serving(said: Any, folder: Path) -> Serving:
    known = tuple(Serving.__dataclass_fields__)
    values: dict[str, Any]
    values = {"url": said} if isinstance(said, str) else _table(said, "serving", known)
    if "capture" in values:
        values["capture"] = _capture(values["capture"], folder)
    for name, value in values.items():
        if name == "endpoint":
            values[name] = _endpoint(value)
        elif name == "capture":
            continue
        elif isinstance(Serving.__dataclass_fields__[name].default, int):
            _whole(values, name, 0, "serving")
        elif not isinstance(value, str):
            raise ConfigError(f"Expected text as {name} in [serving], received {value!r}.")
    for name in ("base_path", "prediction_log", "prediction_log_key"):
        if values.get(name):
            values[name] = _beside(folder, values[name])
    return Serving(**values)


def _endpoint(said: Any) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        raise ConfigError(f"Expected a table [serving.endpoint], received {said!r}.")
    # The rest is checked with the pusher's own settings.
    for name in ("base_path", "model_name", "redact"):
        if name in said:
            where = "[serving]" if name == "base_path" else "the head of the file"
            raise ConfigError(
                f"Expected no {name} in [serving.endpoint], received {said[name]!r}. It is stated "
                f"in {where}."
            )
    return dict(said)


def _capture(said: Any, folder: Path) -> CaptureSource:
    values = _table(said, "serving.capture", tuple(CaptureSource.__dataclass_fields__))
    found = from_table(CaptureSource, values, "[serving.capture]")
    return replace(found, prefix=_beside(folder, found.prefix))


def _runner(said: Any, folder: Path) -> Runner:
    table = _table(said, "runner", tuple(Runner.__dataclass_fields__))
    runner = from_table(Runner, table, "[runner]")
    # Empty paths stay empty: beside the file they would name its folder.
    nodes, token_file = (
        path and _beside(folder, path) for path in (runner.nodes, runner.token_file)
    )
    return replace(runner, nodes=nodes, token_file=token_file)


def _windows(said: Any) -> Windows:
    values = _table(said, "windows", ("every", "first", "days", "rows"))
    every, first = values.get("every", ""), values.get("first", "")
    # TOML's own dates are taken as they are written; those of times are no day.
    first = first.isoformat() if type(first) is date else first
    if not isinstance(every, str) or not isinstance(first, str):
        name, value = ("first", first) if isinstance(every, str) else ("every", every)
        raise ConfigError(f"Expected text as {name} in [windows], received {value!r}.")
    others = sorted(set(values) - {"every", "first", {_DAY: "days", _ROWS: "rows"}.get(every)})
    if others:
        raise ConfigError(f"Expected no {', '.join(others)} in [windows] every {every!r}.")
    if every == _MONTH:
        return Months(first)
    if every == _DAY:
        return Days(first, _whole(values, "days", 1, "windows"))
    if every == _ROWS:
        return Every(rows=_whole(values, "rows", 0, "windows"), first=first)
    raise ConfigError(
        f"Expected every of [windows] among {_MONTH}, {_DAY}, {_ROWS}, received {every!r}."
        f"{did_you_mean(str(every), (_MONTH, _DAY, _ROWS))}"
    )


def _whole(values: Mapping[str, Any], name: str, usual: int, table: str) -> int:
    value = values.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"Expected a whole number as {name} in [{table}], received {value!r}.")
    return value


def _table(said: Any, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise ConfigError(f"Expected a table [{name}], received {said!r}.")
    of_the_loop = {one.name for one in fields(ModelLoopSettings)}
    for key in said:
        if key not in known:
            # In TOML all that follows the head of a table is the table's.
            hint = " Move it above the first [table]." if key in of_the_loop else ""
            raise ConfigError(
                f"Expected {', '.join(known)} in [{name}], received {key!r}."
                f"{hint or did_you_mean(key, known)}"
            )
    return dict(said)


def _beside(folder: Path, path: str) -> str:
    return path if is_remote(path) else str(folder / Path(path).expanduser())
