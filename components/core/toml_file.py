"""Settings files in TOML."""

import sys
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import DataError


def read_toml(path: str | Path, remedy: str) -> dict[str, Any]:
    """Returns what a TOML file says.

    Args:
        path: The file.
        remedy: What to do where it is none; a sentence.

    Raises:
        DataError: It is not there, or is no TOML.
    """
    try:
        # Editors of other systems put a mark in front that TOML does not know.
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _no_toml(path, (error.strerror or type(error).__name__).lower(), remedy) from error
    except UnicodeDecodeError as error:
        raise _no_toml(path, "a file that is no UTF-8", remedy) from error
    return parse_toml(text, path, remedy)


def parse_toml(text: str, path: str | Path, remedy: str) -> dict[str, Any]:
    """Returns what a text says that stands in a file, or is to.

    Raises:
        DataError: It is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(path, str(error).splitlines()[0].rstrip("."), remedy) from error


def _no_toml(path: str | Path, received: str, remedy: str) -> DataError:
    return DataError(f"Expected settings as TOML in {path}, received: {received}. {remedy}")
