"""Sections of docstrings in Google's layout, such as `Args:` and `Attributes:`.

A parameter is described where it is declared: in the `Attributes:` of its settings class. What
`help()` and the documents show is composed from there.
"""

import inspect
import re
import textwrap
from typing import Any

_HEADER = re.compile(r"^([A-Z][A-Za-z ]*):$")
_ENTRY = re.compile(r"^\*{0,2}(\w+): *(.*)$")


def sections(docstring: str | None) -> dict[str, str]:
    """Returns the text of each section by its header; what stands before the first, under ""."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if header := _HEADER.match(line):
            name = header[1]
            found[name] = []
        elif name and line and not line.startswith(" "):
            # An unindented line ends a section.
            name = ""
            found[name] += ["", line]
        else:
            found[name].append(line)
    return {name: textwrap.dedent("\n".join(lines)).strip("\n") for name, lines in found.items()}


def entries(section: str) -> dict[str, str]:
    """Returns the description of each name of a section, as one line."""
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if entry := _ENTRY.match(line):
            name = entry[1]
            found[name] = entry[2]
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}"
    return found


def attributes(kind: type[Any]) -> dict[str, str]:
    """Returns what a class says of its attributes, and of those that it inherits."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        found |= entries(sections(base.__doc__).get("Attributes", ""))
    return found


def section(header: str, described: dict[str, str]) -> str:
    """Returns a section as it stands in a docstring; empty where nothing is described."""
    if not described:
        return ""
    wrapped = [
        textwrap.fill(f"{name}: {text}", 96, initial_indent="    ", subsequent_indent=" " * 8)
        for name, text in described.items()
    ]
    return "\n".join([f"{header}:", *wrapped])
