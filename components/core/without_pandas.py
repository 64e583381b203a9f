"""pandas kept out of a process that has no use for it.

pyarrow imports it to recognise Series and missing values of pandas whenever it makes its first
arrays, and again while that fails: 0.4 s, a sixth of a comparison of two files.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NoPandas(MetaPathFinder):
    """Finds that there is no pandas.

    A None in `sys.modules` says the same to Python. pyarrow 18 is compiled so that it takes the
    None itself for pandas.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Raises ModuleNotFoundError for pandas; leaves other modules to other finders."""
        if name == "pandas":
            raise ModuleNotFoundError("pandas is kept out of this process.", name=name)


_NO_PANDAS = _NoPandas()


def keep_out() -> None:
    """Makes `import pandas` fail from here on, unless it was imported already.

    For a command in a process of its own, which knows that no part of it uses pandas.
    """
    if _NO_PANDAS not in sys.meta_path:
        sys.meta_path.insert(0, _NO_PANDAS)


def let_in() -> None:
    """Lets pandas be imported again; for libraries that cannot be without it."""
    if _NO_PANDAS in sys.meta_path:
        sys.meta_path.remove(_NO_PANDAS)
