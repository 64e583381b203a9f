"""gRPC's forms in HTTP/2: time-outs, the frame of a message, the words of a status.

Source: grpc.github.io/grpc/core/md_doc__p_r_o_t_o_c_o_l-_h_t_t_p2.html.
"""

import re
from urllib.parse import quote

# In front of each message: whether it is compressed, and its length.
PREFIX_BYTES = 5
# Eight digits at most, and one of six units.
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
# Of printable ASCII all but '%'.
_PLAIN = " !\"#$&'()*+,/:;<=>?@[\\]^`{|}~"


def timeout_seconds(text: str) -> float | None:
    """Returns the seconds of a header `grpc-timeout`; None for none, or one that is malformed."""
    match = _TIMEOUT.fullmatch(text)
    return int(match[1]) * _SECONDS[match[2]] if match else None


def message_frame(body: bytes) -> bytes:
    """Returns a message that is not compressed, with what stands in front of it."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def percent_encoded(message: str) -> bytes:
    """Returns a text as `grpc-message` has it: what is not printable ASCII, and '%', is escaped."""
    return quote(message, safe=_PLAIN).encode()
