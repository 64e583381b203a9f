"""Names in a sentence."""

from collections.abc import Sequence


def few(names: Sequence[str], most: int = 3) -> str:
    """Returns the first names, and how many more there are."""
    shown = list(names[:most])
    if more := len(names) - len(shown):
        return f"{', '.join(shown)} and {more} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
