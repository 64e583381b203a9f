"""A folder of versions without a server to ask: versions are loaded and asked in this process."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_loop.contracts.deployment_record import CANDIDATE_PREFIX, version_number
from tfx_loop.deployment.model_server.client import VersionState
from tfx_loop.deployment.serving_pusher import golden
from tfx_loop.deployment.serving_pusher.answers import Answers


class UnwatchedFolder:
    """Stands in for a server's client: what lies in the folder, whole, is what will be served."""

    def __init__(self, base: Path, arguments: Answers) -> None:
        """Keeps where versions lie, and the golden rows as arrays by input."""
        self._base = base
        self._arguments = arguments
        self._opened: dict[int, Callable[[str, Answers], Answers]] = {}

    def status(self) -> list[VersionState]:
        """Returns every version and candidate as available."""
        paths = list(self._base.iterdir()) if self._base.is_dir() else []
        return [
            VersionState(
                version=number,
                state="AVAILABLE",
                error="",
                candidate=path.name.startswith(CANDIDATE_PREFIX),
            )
            for path in paths
            if (number := version_number(path.name.removeprefix(CANDIDATE_PREFIX))) is not None
        ]

    def loads_candidates(self) -> bool:
        """Says that a version can be proven before it has its number, by which servers find it."""
        return True

    def routes_by_record(self) -> bool:
        """Says that nobody knows which server will find the versions."""
        return False

    def load(self, version: int) -> None:
        """Loads a version, which is what can be checked without rows; raises ModelError."""
        if version not in self._opened:
            candidate = self._base / f"{CANDIDATE_PREFIX}{version}"
            here = candidate if candidate.is_dir() else self._base / str(version)
            self._opened[version] = golden.opened(here)

    def predict(
        self,
        *,
        instances: Sequence[Any],
        signature_name: str,
        version: int,
        request_id: str,
        golden_token: str,
    ) -> Mapping[str, Sequence[Any]]:
        """Returns what a version answers to the golden rows, by output name."""
        self.load(version)
        answers = self._opened[version](signature_name, self._arguments)
        return {name: values.tolist() for name, values in answers.items()}
