"""The trace that a request belongs to, by W3C's Trace Context."""

import re

# Version, trace, span of the caller, flags; versions to come may add more behind a dash
# (https://www.w3.org/TR/trace-context/#versioning-of-traceparent).
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def trace_id_of(traceparent: str) -> str:
    """Returns the trace of a `traceparent` header, 32 hexadecimal digits.

    Empty where there is none, or what came is none: the standard has it ignored then.
    """
    match = _TRACEPARENT.fullmatch(traceparent)
    # Of the first version nothing may follow.
    if match is None or (match[2] and traceparent.startswith("00")):
        return ""
    return match[1]
