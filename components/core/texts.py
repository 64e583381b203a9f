"""Texts: whether one is a number, and many names as few."""

from collections.abc import Sequence


def is_number(text: str) -> bool:
    """Says whether a text is a number as Python writes them, `nan` and `inf` among them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


# Of a value in a message: a sentence or an image among the values is not to fill the screen.
_LONGEST = 60


def listed(names: Sequence[object], most: int = 12) -> str:
    """Returns names or values for a message, in one line: the first, and how many more there are.

    What cannot be printed is escaped, and what is longer than a line is cut.
    """
    shown = ", ".join(map(_printable, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _printable(value: object) -> str:
    text = str(value)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
