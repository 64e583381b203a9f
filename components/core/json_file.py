"""One JSON file of an artifact: its name, the dataclass that it holds, and the version it is in.

Writer and readers share one description, so that a key stands in one place of the code. Errors
name the file, what was expected and who has to write it again. Keys that the dataclass does not
know are left out, so that a newer writer may add some; a field that older files lack has a default.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from tfx_loop.core import storage
from tfx_loop.core.errors import DataError, LoopError
from tfx_loop.core.json_codec import from_json, to_json, written_keys

T = TypeVar("T")

VERSION = "schema_version"


@dataclass(frozen=True, kw_only=True)
class JsonFile(Generic[T]):
    """A file of one kind.

    Attributes:
        name: The file's name, such as `drift_report.json`.
        kind: The frozen dataclass that it holds.
        title: What errors call it, such as `a drift report`.
        remedy: What to do about a file that cannot be read; a sentence.
        version: Its `schema_version`, raised when a key changes its meaning; None for a file that
            carries none.
        whole: Every key must be there, also those of fields with a default: for a file that no
            release wrote without.
        private: It is its owner's alone.
    """

    name: str
    kind: type[T]
    title: str
    remedy: str
    version: int | None = 1
    whole: bool = False
    private: bool = False

    def content(self, value: T) -> dict[str, Any]:
        """Returns the JSON object of a value, its version first; NaN becomes None."""
        head = {} if self.version is None else {VERSION: self.version}
        return {**head, **to_json(value)}

    def value(self, content: Any, where: str = "") -> T:
        """Returns the value that a JSON object stands for.

        Raises:
            DataError: It is of another version, or lacks a field, or holds one of another type.
        """
        place = where or self.name
        found = content.get(VERSION) if isinstance(content, dict) else None
        if self.version is not None and found != self.version:
            raise DataError(
                f"Expected {self.title} of {VERSION} {self.version} in {place}, received "
                f"{found!r}. {self.remedy}"
            )
        keys: Any = written_keys(cast(Any, self.kind)) if self.whole else ()
        lacking = [key for key in keys if key not in content]
        if lacking:
            raise DataError(f"Expected the field {lacking[0]!r} in {place}. {self.remedy}")
        try:
            value: T = from_json(self.kind, content, place)
        except LoopError as error:
            # A value that a dataclass refuses when it is made is as damaged as a missing one.
            raise DataError(f"{str(error).rstrip('.')}. {self.remedy}") from error
        return value

    def path(self, folder: str | Path) -> str:
        """Returns the file's path or URI in a folder."""
        return os.path.join(folder, self.name)

    def write(self, value: T, folder: str | Path) -> None:
        """Writes the file into a folder, whole."""
        self.save(value, self.path(folder))

    def save(self, value: T, path: str | Path) -> None:
        """Writes the file under a name of the caller's choice, whole.

        Raises:
            DataError: A field holds what it is not declared with, such as NaN in a float.
        """
        content = self.content(value)
        # Here the field is known and its maker runs; a reader would find a null days later.
        self.value(content, str(path))
        storage.write_bytes(str(path), storage.json_text(content), private=self.private)

    def read(self, folder: str | Path) -> T:
        """Returns what the file in a folder holds.

        Raises:
            DataError: There is none, or it cannot be read.
        """
        return self.load(self.path(folder))

    def find(self, folder: str | Path) -> T | None:
        """Returns what the file in a folder holds; None where there is none.

        Raises:
            DataError: It cannot be read.
        """
        return self._loaded(self.path(folder))

    def load(self, path: str | Path) -> T:
        """Returns what a file of any name holds; raises as `read`."""
        value = self._loaded(str(path))
        if value is None:
            raise DataError(f"Expected {self.title} at {path}, found no file. {self.remedy}")
        return value

    def _loaded(self, path: str) -> T | None:
        try:
            content = storage.read_json(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError(
                f"Expected {self.title} at {path}, received: {error.strerror or error}. Check the "
                "path and its permissions."
            ) from error
        return self.value(content, path)
