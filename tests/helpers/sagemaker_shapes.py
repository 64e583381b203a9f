"""Requests against the service model that botocore brings: names, types, ranges, patterns, enums.

boto3 itself checks names and types alone; the service refuses the rest.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session


@functools.cache
def service_model(service: str = "sagemaker") -> Any:
    """Returns botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def faults(operation: str, request: Any, service: str = "sagemaker") -> list[str]:
    """Returns what the service would refuse in a request, one line each."""
    return list(_faults(service_model(service).operation_model(operation).input_shape, request, ""))


def _faults(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"{path}.{name}: required"
        for name, held in value.items():
            if name not in shape.members:
                yield f"{path}.{name}: unknown"
            else:
                yield from _faults(shape.members[name], held, f"{path}.{name}")
        return
    if shape.type_name == "list":
        yield from _size(shape, len(value), path)
        for place, held in enumerate(value):
            yield from _faults(shape.member, held, f"{path}[{place}]")
    elif shape.type_name == "map":
        for name, held in value.items():
            yield from _faults(shape.key, name, f"{path} key")
            yield from _faults(shape.value, held, f"{path}.{name}")
    elif shape.type_name == "string":
        yield from _size(shape, len(value), path)
        pattern = shape.metadata.get("pattern")
        if shape.enum and value not in shape.enum:
            yield f"{path}: {value!r} is none of {shape.enum[:12]}"
        # Python's expressions know no classes of Unicode (\\p); those patterns are of tags.
        elif pattern and "\\p" not in pattern and not re.fullmatch(pattern, value):
            yield f"{path}: {value!r} does not match {pattern}"
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _size(shape, value, path)


def _size(shape: Any, size: float, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{path}: {size} is not in {least} to {most}"
