"""The setting by which a node's author names exceptions to the guard."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfx_loop.core.settings import NodeSettings
from tfx_loop.models.guard import guard

_Do = Callable[[Any, Any, Any, Any], None]


@dataclass(frozen=True, kw_only=True)
class GuardSettings(NodeSettings):
    """Settings of a node that opens models.

    Attributes:
        allow: Operations, layers and symbols that a model may have although they could do harm,
            by the names that the refusal gives; kept in the lineage with the other settings.
    """

    allow: tuple[str, ...] = ()


def allowing(do: _Do) -> _Do:
    """Returns an executor's Do under the exceptions that its node names."""

    @functools.wraps(do)
    def guarded(self: Any, input_dict: Any, output_dict: Any, exec_properties: Any) -> None:
        with guard.exceptions(GuardSettings.from_properties(exec_properties).allow):
            do(self, input_dict, output_dict, exec_properties)

    return guarded
