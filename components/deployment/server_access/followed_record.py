"""A deployment record that is followed: read again and again, as pushes change it."""

import logging
from collections.abc import Callable
from typing import TypeVar

from tfx_loop.contracts.deployment_record import DeploymentRecord, read_record
from tfx_loop.core.errors import LoopError

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


def followed_record(
    base_path: str, model_name: str, derive: Callable[[DeploymentRecord], T], first: T
) -> Callable[[], T]:
    """Returns what reads the record of a base path; a damaged one changes nothing.

    Args:
        base_path: Where the record stands.
        model_name: The model that it has to be of.
        derive: Makes of a record what the server goes by.
        first: What it goes by until a record could be read.
    """
    last, complaint = first, ""

    def read() -> T:
        nonlocal last, complaint
        try:
            last, complaint = derive(read_record(base_path, model_name)), ""
        except (LoopError, OSError) as error:
            # Said once, not with every look.
            if str(error) != complaint:
                complaint = str(error)
                _LOG.error("routing model=%s state=unchanged error=%s", model_name, error)
        return last

    return read
