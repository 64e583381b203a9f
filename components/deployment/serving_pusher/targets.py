"""Targets of a push: a model server, a folder alone, or one of another theme.

That target is named by its import path and imported when a node asks for it, so that the pusher
knows of no other theme.
"""

from tfx_loop.contracts.pushed_model import PushTarget
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.import_path import user_function

SERVER, FOLDER, DEVICES = "server", "folder", "devices"
_ELSEWHERE = {DEVICES: "tfx_loop.edge.edge_bundle.device_target:DeviceTarget"}
TARGETS = (SERVER, FOLDER, *_ELSEWHERE)


def target_named(name: str) -> PushTarget | None:
    """Returns a target by its name; None for a server's folder.

    Raises:
        ConfigError: There is no such target.
    """
    if name in (SERVER, FOLDER):
        return None
    if name not in _ELSEWHERE:
        raise ConfigError(f"Expected a target of {TARGETS}, received {name!r}.")
    made: PushTarget = user_function(_ELSEWHERE[name], "target")()
    return made
