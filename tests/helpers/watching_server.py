"""A stand-in for a server that watches a base path; what it serves is what lies there."""

from dataclasses import dataclass
from pathlib import Path

from tfx_loop.contracts.deployment_record import DEPLOYMENT_RECORD
from tfx_loop.core.errors import ServerUnavailable
from tfx_loop.deployment.model_server.routing import Routing, routing_of


@dataclass(frozen=True)
class Status:
    version: int
    state: str
    error: str = ""
    candidate: bool = False


class WatchingServer:
    """Serves the highest version below the base path, as TF Serving's `latest` policy does.

    A model whose `saved_model.pb` says `broken` fails to load; then the one before serves on.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.down = False
        self.knows_candidates = False
        self.asked = 0
        self.on_status = lambda: None

    def status(self):
        self.asked += 1
        self.on_status()
        if self.down:
            raise ServerUnavailable("No answer from http://server within 10 s.")
        folders = self.base.glob("[0-9]*")
        found, serving = [], False
        routing = self._routing()
        for folder in sorted(
            folders, key=lambda p: (int(p.name) in routing.last_resort, -int(p.name))
        ):
            version = int(folder.name)
            broken = (folder / "saved_model.pb").read_bytes() == b"broken"
            held = version in routing.held
            loaded = not broken and (version in routing.loaded if held else not serving)
            state = "AVAILABLE" if loaded else "END"
            found.append(Status(version, state, "cannot parse" if broken else "", candidate=held))
            serving = serving or (loaded and not held)
        for folder in self.base.glob(".candidate-*") if self.knows_candidates else ():
            version = int(folder.name.removeprefix(".candidate-"))
            broken = (folder / "saved_model.pb").read_bytes() == b"broken"
            state, error = ("END", "cannot parse") if broken else ("AVAILABLE", "")
            found.append(Status(version, state, error, candidate=True))
        return found

    def _routing(self):
        # One that knows candidates gives its traffic to what the record calls stable.
        record = DEPLOYMENT_RECORD.find(str(self.base)) if self.knows_candidates else None
        return Routing() if record is None else routing_of(record)

    def loads_candidates(self):
        return self.knows_candidates

    def routes_by_record(self):
        return self.knows_candidates

    @property
    def serving(self):
        return next(
            (s.version for s in self.status() if s.state == "AVAILABLE" and not s.candidate), None
        )
