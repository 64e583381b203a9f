"""Numbers in [0, 1) from the hash of a key, a seed and a purpose.

A row chosen by the hash of its key is chosen in every later run, whatever the other rows are. The
purpose keeps choices apart: were a fifth of the rows kept and a fifth held out by the same hash,
all that is kept would be held out.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

# A digest of 64 bits, of which a double below 1 can hold 53.
_BYTES = 8


def hash_fractions(keys: Iterable[str], seed: int, purpose: str) -> npt.NDArray[np.float64]:
    """Returns one number in [0, 1) a key, as uniform as BLAKE2b.

    Args:
        keys: Any strings; the same key gives the same number.
        seed: Another seed gives other numbers.
        purpose: Names what is chosen, such as "split".
    """
    prefix = hashlib.blake2b(f"{purpose}:{seed}:".encode(), digest_size=_BYTES)
    numbers = []
    for key in keys:
        digest = prefix.copy()
        digest.update(key.encode())
        numbers.append(int.from_bytes(digest.digest(), "big"))
    # The 11 lowest bits go: 53 are the precision of a double, so that no fraction rounds up to 1.
    integers = np.array(numbers, dtype=np.uint64) >> np.uint64(11)
    fractions: npt.NDArray[np.float64] = integers.astype(float) / 2.0**53
    return fractions
