"""Settings of the whole process that its children and their children take over.

For what is decided once, at the start of a command or node, and minded deep below it, in whichever
process the work is done. `Worker` sends them along with each request.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

_SETTINGS: dict[str, tuple[str, ...]] = {}


def setting(name: str) -> tuple[str, ...]:
    """Returns a setting of this process; empty where nobody made it."""
    return _SETTINGS.get(name, ())


@contextmanager
def made(name: str, values: Sequence[str]) -> Iterator[None]:
    """Makes a setting for the time of a block; in all threads."""
    before = dict(_SETTINGS)
    _SETTINGS[name] = tuple(values)
    try:
        yield
    finally:
        take_over(before)


def all_settings() -> dict[str, list[str]]:
    """Returns all settings, for a child."""
    return {name: list(values) for name, values in _SETTINGS.items()}


def take_over(settings: Mapping[str, Sequence[str]]) -> None:
    """Replaces all settings, as a child does at each request."""
    _SETTINGS.clear()
    _SETTINGS.update({name: tuple(values) for name, values in settings.items()})
