"""Functions and classes named by their import path: the user's, or another theme's.

A path is text, so it travels through pipelines and to other machines, and what it names is
imported only where it is needed.
"""

import importlib
from collections.abc import Callable
from typing import Any

from tfx_loop.core.errors import ConfigError, first_line


def user_function(path: str, setting: str) -> Callable[..., Any]:
    """Returns the function at an import path.

    Args:
        path: `package.module.function` or `package.module:function`.
        setting: Name of the setting that holds the path, for errors.

    Raises:
        ConfigError: There is no such module or function, or the module cannot be imported.
    """
    module_name, _, name = path.replace(":", ".").rpartition(".")
    if not module_name:
        raise ConfigError(f"Expected {setting} as 'package.module.function', received {path!r}.")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"Expected {setting} to name an importable module, received {path!r}: {error}. "
            "Install its package or put its folder on PYTHONPATH."
        ) from error
    except Exception as error:
        raise ConfigError(
            f"Expected {setting} to name an importable module, received {path!r}, which raises "
            f"{type(error).__name__}: {first_line(error)} Correct the module."
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(
            f"Expected a function {name!r} in {module_name}, received {type(function).__name__}. "
            f"Correct {setting}."
        )
    return function  # type: ignore[no-any-return]
