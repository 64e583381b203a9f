"""The versions of a served model. Pure: folders, loader and clock are passed in.

The newest loadable version serves, of those that `Routing` lets serve. A new version is loaded
first, then takes over, then the old one is let go; a version that fails to load leaves the old one
serving, and is given up after its tries. Other versions are held beside it: candidates, which have
no number yet, a canary, and those with a label. They answer requests for their number, and the
canary its share of the others. A version that changes its role is not loaded again.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from tfx_loop.core.errors import DataError, ModelRejected
from tfx_loop.deployment.model_server.routing import CANARY_LABEL, STABLE_LABEL, Routing
from tfx_loop.deployment.model_server.version_folders import VersionFolder
from tfx_loop.deployment.model_server.version_status import ServingState, VersionStatus

_LOG = logging.getLogger(__name__)
# Versions of the past that the status still shows.
MAX_ENDED_VERSIONS = 100

ModelT = TypeVar("ModelT")


@dataclass(frozen=True, kw_only=True)
class LoadRetries:
    """How often a failing version is tried.

    Attributes:
        max_retries: Tries after the first one.
        interval_seconds: Quiet time between two tries.
    """

    max_retries: int = 0
    interval_seconds: float = 60.0


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


@dataclass(frozen=True)
class _Snapshot(Generic[ModelT]):
    """What answers at one moment; replaced whole, so that a request sees one state alone."""

    serving: _LoadedModel[ModelT] | None = None
    beside: Mapping[int, _LoadedModel[ModelT]] = field(default_factory=dict)
    candidate: int | None = None
    routing: Routing = field(default_factory=Routing)

    def get(self, version: int | None) -> "_LoadedModel[ModelT] | None":
        if version is not None and version in self.beside:
            return self.beside[version]
        serves = self.serving is not None and version in (None, self.serving.version)
        return self.serving if serves else None

    def labels(self) -> dict[str, int]:
        canary = self.candidate if self.routing.canary is None else self.routing.canary
        known = {**self.routing.labels, CANARY_LABEL: canary}
        if self.serving is not None:
            known[STABLE_LABEL] = self.serving.version
        known |= self.routing.configured_labels
        return {
            name: version
            for name, version in known.items()
            if version is not None and self.get(version) is not None
        }


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
        read_routing: Callable[[], Routing] = Routing,
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
            read_routing: Returns which versions may take traffic.
        """
        self._model_name = model_name
        self._list_folders = list_folders
        self._list_candidates = list_candidates
        self._read_routing = read_routing
        self._load = load
        self._clock = clock
        self._retries = retries or LoadRetries()
        self._lock = threading.Lock()
        # Two locks: a poll may load for minutes, while statuses are read at any moment.
        self._poll_lock = threading.Lock()
        # Replaced by one assignment, which is atomic: requests read it without a lock.
        self._now: _Snapshot[ModelT] = _Snapshot()
        self._statuses: dict[int, VersionStatus] = {}
        self._failures: dict[int, _LoadFailure] = {}
        self._unnumbered: frozenset[int] = frozenset()

    def poll(self) -> None:
        """Looks at the folders once, and loads what should serve and what is to be proven."""
        with self._poll_lock:
            self._poll()

    def _poll(self) -> None:
        # In this order: a candidate that gets its number meanwhile is seen twice, never not at all.
        candidates = self._list_candidates()
        folders = self._list_folders()
        # Read last: the record names no version whose folder is not there.
        routing = self._read_routing()
        unnumbered = {v: f for v, f in candidates.items() if v not in folders}
        self._unnumbered = frozenset(unnumbered)
        self._forget_fixed({**candidates, **folders})
        self._serve_newest(folders, routing)
        chosen = routing.policy.choose(folders.keys() - routing.held)
        # The highest of them serves, or has just failed to.
        others = chosen - {max(chosen, default=0)}
        kept = routing.loaded | {*routing.labels.values()} | others
        wanted = {version: folders[version] for version in kept if version in folders}
        newest = max(unnumbered, default=None)
        if newest is not None:
            wanted[newest] = unnumbered[newest]
        self._hold(wanted, newest, routing)

    @property
    def beside(self) -> frozenset[int]:
        """The versions that are loaded and serve none of the traffic that names no version."""
        return frozenset(self._now.beside)

    def serving_version(self) -> int | None:
        """Returns the version that answers requests which name none."""
        serving = self._now.serving
        return None if serving is None else serving.version

    def labels(self) -> dict[str, int]:
        """Returns the versions that answer, by label."""
        return self._now.labels()

    def labelled(self, label: str) -> tuple[int, ModelT]:
        """Returns the version of a label and its model.

        Raises:
            DataError: No version that answers has it; in the words of TF Serving.
        """
        now = self._now
        found = now.get(now.labels().get(label, -1))
        if found is None:
            raise unknown_label(label)
        return found.version, found.model

    def routed(self, position: float) -> tuple[int, ModelT]:
        """Returns the version for a request that names none: the one that serves, or the canary.

        Args:
            position: Where the request lies in [0, 1); the canary gets those below its share.

        Raises:
            ModelRejected: Nothing serves.
        """
        now = self._now
        canary = now.routing.canary
        if position >= now.routing.canary_share or canary not in now.beside:
            canary = None
        return self._found(now, canary)

    def get(self, version: int | None = None) -> tuple[int, ModelT]:
        """Returns a version and its model; by default the one that serves.

        Raises:
            ModelRejected: Nothing serves, or the version asked for is not loaded.
        """
        return self._found(self._now, version)

    def _found(self, now: _Snapshot[ModelT], version: int | None) -> tuple[int, ModelT]:
        found = now.get(version)
        if found is None:
            wanted = (
                f"Latest({self._model_name})"
                if version is None
                else f"Specific({self._model_name}, {version})"
            )
            raise ModelRejected(f"Servable not found for request: {wanted}")
        return found.version, found.model

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
        return failure.tries <= self._retries_of(version) and self._clock() >= failure.next_try

    def _retries_of(self, version: int) -> int:
        # Who pushes a candidate waits for the answer, and pushes again.
        return 0 if version in self._unnumbered else self._retries.max_retries

    def _serve_newest(self, folders: Mapping[int, VersionFolder], routing: Routing) -> None:
        may = {version for version in folders if version not in routing.held}
        chosen = routing.policy.choose(may)
        if not routing.policy.may_fall_back():
            may = set(chosen)
        # False sorts before True: those of the last resort come last.
        for version in sorted(may, key=lambda v: (v in routing.last_resort, -v)):
            serving = self._now.serving
            if serving is not None and serving.version == version:
                return
            if self._is_due(version) and self._try(version, folders[version]):
                return

    def _hold(
        self, wanted: Mapping[int, VersionFolder], candidate: int | None, routing: Routing
    ) -> None:
        """Loads what is wanted beside the version that serves, and lets go of the rest."""
        before, serving = self._now.beside, self._now.serving
        beside: dict[int, _LoadedModel[ModelT]] = {}
        for version, folder in wanted.items():
            if serving is not None and serving.version == version:
                continue
            held = before.get(version)
            if held is not None and held.identity == folder.identity:
                beside[version] = held
            elif self._is_due(version) and (loaded := self._loaded(version, folder)) is not None:
                beside[version] = loaded
                self._set(VersionStatus(version=version, state=ServingState.AVAILABLE))
                _LOG.info("beside model=%s version=%d", self._model_name, version)
        self._now = _Snapshot(serving, beside, candidate, routing)
        for version in set(before) - set(beside):
            # Requests that still run hold the model; it goes when the last of them ends. Not told
            # of one that serves by now, or whose new content failed to load.
            serves = serving is not None and serving.version == version
            if not serves and version not in self._failures:
                self._set(VersionStatus(version=version, state=ServingState.END))

    def _loaded(self, version: int, folder: VersionFolder) -> "_LoadedModel[ModelT] | None":
        """Returns a version's model, one that is loaded if it is the same; None if it fails."""
        # Loading takes seconds and memory twice: the same folder is never loaded again.
        for known in (self._now.beside.get(version), self._now.serving):
            if known is not None and (known.version, known.identity) == (version, folder.identity):
                # Its folder got its number, or its role changed: it was loaded as it is.
                return known
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
        now, old = self._now, self._now.serving
        beside = {number: held for number, held in now.beside.items() if number != version}
        if old is not None:
            # Held until the end of this poll, which sees whether somebody still wants it.
            beside[old.version] = old
        self._now = replace(now, serving=loaded, beside=beside)
        self._set(VersionStatus(version=version, state=ServingState.AVAILABLE))
        _LOG.info("version model=%s version=%d state=AVAILABLE", self._model_name, version)
        if old is not None:
            _LOG.info("version model=%s version=%d state=replaced", self._model_name, old.version)
        return True

    def _failed(self, version: int, folder: VersionFolder, error: Exception) -> None:
        tries = self._failures[version].tries + 1 if version in self._failures else 1
        next_try = self._clock() + self._retries.interval_seconds
        self._failures[version] = _LoadFailure(tries, next_try, folder.identity)
        text = f"{type(error).__name__}: {error}"
        state = ServingState.END if tries > self._retries_of(version) else ServingState.LOADING
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


def unknown_label(label: str) -> DataError:
    """Returns the error for a label that no version has; in the words of TF Serving."""
    return DataError(f"Unrecognized servable version label: {label[:200]}")
