"""The versions of a served model. Pure: folders, loader and clock are passed in.

The newest loadable version serves. A new version is loaded first, then takes over, then the old one
is let go; a version that fails to load leaves the old one serving, and is given up after its tries.
A candidate is loaded and takes no traffic; it answers only requests for its number. When its folder
gets that number as a name, it serves as it is, without loading again.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from tfx_loop.core.errors import ModelRejected

_LOG = logging.getLogger(__name__)
# Versions of the past that the status still shows.
MAX_ENDED_VERSIONS = 100

ModelT = TypeVar("ModelT")


class ServingState(Enum):
    """Life of a version, with the names and numbers of TF Serving's ModelVersionStatus."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """What is known of a version.

    Attributes:
        version: Its number.
        state: Where it is in its life.
        error: Why it could not be loaded; empty when nothing failed.
    """

    version: int
    state: ServingState
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class LoadRetries:
    """How often a failing version is tried.

    Attributes:
        max_retries: Tries after the first one.
        interval_seconds: Quiet time between two tries.
    """

    max_retries: int = 0
    interval_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class VersionFolder:
    """A folder with a model.

    Attributes:
        path: Where it is.
        identity: Changes when the folder is replaced or files come to it.
    """

    path: Path
    identity: tuple[int, ...] = ()


@dataclass(frozen=True)
class _LoadFailure:
    tries: int
    next_try: float
    identity: tuple[int, ...]


@dataclass(frozen=True)
class _LoadedModel(Generic[ModelT]):
    version: int
    model: ModelT
    identity: tuple[int, ...]


def list_versions(base_path: str | Path, prefix: str = "") -> dict[int, VersionFolder]:
    """Returns the numbered folders of a base path; other names are none of ours.

    Args:
        base_path: Where they are.
        prefix: What stands before their numbers.
    """
    folders = {}
    try:
        for entry in os.scandir(base_path):
            number = entry.name.removeprefix(prefix)
            if not entry.name.startswith(prefix):
                continue
            if number.isascii() and number.isdigit() and entry.is_dir():
                stat = os.stat(entry.path)
                # A folder that is replaced has another inode; one that gets files has another time.
                identity = (stat.st_dev, stat.st_ino, stat.st_mtime_ns)
                folders[int(number)] = VersionFolder(path=Path(entry.path), identity=identity)
    except (FileNotFoundError, NotADirectoryError):
        # Not there yet, or a version went away while it was looked at: the next poll sees more.
        return folders
    return folders


class Versions(Generic[ModelT]):
    """Loads, switches and lets go of versions; asked by many threads, polled by one."""

    def __init__(
        self,
        model_name: str,
        list_folders: Callable[[], Mapping[int, VersionFolder]],
        load: Callable[[int, Path], ModelT],
        clock: Callable[[], float],
        retries: LoadRetries | None = None,
        list_candidates: Callable[[], Mapping[int, VersionFolder]] = dict,
    ) -> None:
        """Knows no version before the first poll.

        Args:
            model_name: For messages.
            list_folders: Returns the version folders that are there now.
            load: Makes a servable model of a folder, or raises.
            clock: Seconds that only grow.
            retries: What to do about a version that fails to load.
            list_candidates: Returns the folders that are to be proven: loaded, and asked by none
                but those who name the version.
        """
        self._model_name = model_name
        self._list_folders = list_folders
        self._load = load
        self._clock = clock
        self._retries = retries or LoadRetries()
        self._lock = threading.Lock()
        self._serving: tuple[int, ModelT] | None = None
        self._list_candidates = list_candidates
        self._candidate: _LoadedModel[ModelT] | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failures: dict[int, _LoadFailure] = {}

    def poll(self) -> None:
        """Looks at the folders once, and loads what should serve and what is to be proven."""
        # In this order: a candidate that gets its number meanwhile is seen twice, never not at all.
        candidates = self._list_candidates()
        folders = self._list_folders()
        self._forget_fixed({**candidates, **folders})
        self._serve_newest(folders)
        self._hold_candidate({v: f for v, f in candidates.items() if v not in folders})

    @property
    def candidate(self) -> int | None:
        """The version that is loaded and serves only those who ask for it."""
        candidate = self._candidate
        return None if candidate is None else candidate.version

    def get(self, version: int | None = None) -> tuple[int, ModelT]:
        """Returns the serving version and its model.

        Raises:
            ModelRejected: Nothing serves, or another version than the one asked for.
        """
        # Read once: another thread may switch versions between two looks.
        candidate, serving = self._candidate, self._serving
        if candidate is not None and version == candidate.version:
            return candidate.version, candidate.model
        if serving is None or (version is not None and serving[0] != version):
            wanted = (
                f"Latest({self._model_name})"
                if version is None
                else f"Specific({self._model_name}, {version})"
            )
            raise ModelRejected(f"Servable not found for request: {wanted}")
        return serving

    def statuses(self) -> list[VersionStatus]:
        """Returns what is known of all versions, newest first."""
        with self._lock:
            return [self._statuses[version] for version in sorted(self._statuses, reverse=True)]

    def status(self, version: int) -> VersionStatus:
        """Returns what is known of a version.

        Raises:
            ModelRejected: It was never there.
        """
        with self._lock:
            if version not in self._statuses:
                raise ModelRejected(f"Could not find version {version} of model {self._model_name}")
            return self._statuses[version]

    def _is_due(self, version: int) -> bool:
        failure = self._failures.get(version)
        if failure is None:
            return True
        return failure.tries <= self._retries.max_retries and self._clock() >= failure.next_try

    def _serve_newest(self, folders: Mapping[int, VersionFolder]) -> None:
        for version in sorted(folders, reverse=True):
            if self._serving is not None and self._serving[0] == version:
                return
            if self._is_due(version) and self._try(version, folders[version]):
                return

    def _hold_candidate(self, candidates: Mapping[int, VersionFolder]) -> None:
        """Loads the newest candidate, and lets go of one that went away or was replaced."""
        newest = max(candidates, default=None)
        held = self._candidate
        if held is not None and (
            newest != held.version or candidates[newest].identity != held.identity
        ):
            self._candidate = None
            self._set(VersionStatus(version=held.version, state=ServingState.END))
        if newest is not None and self._candidate is None and self._is_due(newest):
            self._candidate = self._loaded(newest, candidates[newest])
            if self._candidate is not None:
                self._set(VersionStatus(version=newest, state=ServingState.AVAILABLE))
                _LOG.info("candidate model=%s version=%d", self._model_name, newest)

    def _loaded(self, version: int, folder: VersionFolder) -> "_LoadedModel[ModelT] | None":
        """Returns a version's model, the candidate's own if it is the same; None if it fails."""
        candidate = self._candidate
        if candidate is not None and (candidate.version, candidate.identity) == (
            version,
            folder.identity,
        ):
            # Its folder got its number: it was loaded and proven as it is.
            return candidate
        self._set(VersionStatus(version=version, state=ServingState.LOADING))
        try:
            model = self._load(version, folder.path)
        except Exception as error:  # Whatever a folder may hold, the old version serves on.
            self._failed(version, folder, error)
            return None
        self._failures.pop(version, None)
        return _LoadedModel(version, model, folder.identity)

    def _try(self, version: int, folder: VersionFolder) -> bool:
        loaded = self._loaded(version, folder)
        if loaded is None:
            return False
        old = self._serving
        # One assignment switches: a request sees the old pair or the new one.
        self._serving = (version, loaded.model)
        if self.candidate == version:
            self._candidate = None
        self._set(VersionStatus(version=version, state=ServingState.AVAILABLE))
        _LOG.info("version model=%s version=%d state=AVAILABLE", self._model_name, version)
        if old is not None:
            # Requests that still run hold the old model; it goes when the last of them ends.
            self._set(VersionStatus(version=old[0], state=ServingState.END))
            _LOG.info("version model=%s version=%d state=END", self._model_name, old[0])
        return True

    def _failed(self, version: int, folder: VersionFolder, error: Exception) -> None:
        tries = self._failures[version].tries + 1 if version in self._failures else 1
        next_try = self._clock() + self._retries.interval_seconds
        self._failures[version] = _LoadFailure(tries, next_try, folder.identity)
        text = f"{type(error).__name__}: {error}"
        state = ServingState.END if tries > self._retries.max_retries else ServingState.LOADING
        self._set(VersionStatus(version=version, state=state, error=text))
        _LOG.error(
            "version model=%s version=%d state=%s tries=%d error=%s",
            self._model_name,
            version,
            state.name,
            tries,
            text,
        )

    def _forget_fixed(self, folders: Mapping[int, VersionFolder]) -> None:
        """A failed version whose folder went away or changed may be fixed: it starts afresh."""
        for version, failure in list(self._failures.items()):
            if version not in folders or folders[version].identity != failure.identity:
                del self._failures[version]
                self._set(replace(self._statuses[version], state=ServingState.END))

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status
            ended = sorted(v for v, s in self._statuses.items() if s.state is ServingState.END)
            for version in ended[: max(len(ended) - MAX_ENDED_VERSIONS, 0)]:
                del self._statuses[version]
