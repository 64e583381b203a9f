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
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"Expected settings as TOML in {path}, received: {said}. {remedy}"
        ) from error
