"""A secret that somebody gave out, such as a password or a token, read from a file of its own."""

from pathlib import Path

from tfx_loop.core.errors import ConfigError

# More is no password and no token: another file was named.
_MOST_BYTES = 4096


def secret_text(path: str | Path, what: str) -> str:
    """Returns the text of a file, without the line end that editors write.

    Args:
        path: The file; `~` stands for the user's home.
        what: What errors call its content, such as `a token`.

    Raises:
        ConfigError: It cannot be read, or is no text; the error quotes nothing of it.
    """
    try:
        with Path(path).expanduser().open("rb") as stream:
            return stream.read(_MOST_BYTES).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(
            f"Expected {what} in {path}, received: {told}. Name a file that this user may read."
        ) from error
