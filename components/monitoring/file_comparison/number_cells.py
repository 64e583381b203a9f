"""Numbers as cells hold them: written with either decimal mark or as a clock, and beyond 2^53."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Thousands may be set apart by the mark that is not the decimal one.
_NUMBER = {
    # In India after the first thousand by two digits: 12,34,567.
    ".": r"^[+-]?(\d+|\d{1,3}(,\d{2,3})*,\d{3})?(\.\d*)?([eE][+-]?\d+)?$",
    ",": r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d*)?([eE][+-]?\d+)?$",
}
_HAS_DIGIT = r"\d"
# With a decimal point: a point before three digits is one, too.
WHOLE = r"^[+-]?(\d+|\d{1,3}(,\d{2,3})*,\d{3})$"
# A comma that no thousands are behind: two digits or four, or a second mark.
_SURELY_DECIMAL_COMMA = r"^[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+|\d{1,3}(\.\d{3})+,\d+)$"
DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?$"
# 14:30, 2:30 PM, 14:30:00.5, durations as pandas writes them, 1 days 02:00:00, and by ISO 8601, as
# Polars does: P1DT2H, PT5M0.5S.
_OF_DAY = (
    r"(?:(?P<days>-?\d+) days? \+?)?(?P<h>\d{1,4}):(?P<m>[0-5]\d)(?::(?P<s>[0-5]\d(?:\.\d+)?))?"
)
_ISO = (
    r"P(?:(?P<iso_days>\d+)D)?(?:T(?:(?P<iso_h>\d+)H)?(?:(?P<iso_m>\d+)M)?"
    r"(?:(?P<iso_s>\d+(?:\.\d+)?)S)?)?"
)
_CLOCK = rf"^(?:{_OF_DAY}(?: ?(?P<half>[AaPp]\.?[Mm]\.?))?|{_ISO})$"
_UNITS = {"days": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_HALF_DAY = 12 * _UNITS["h"]
# Beyond it doubles skip whole numbers.
_EXACT = 2**53
# Of float32's 24 bits ten may go to how far from 0 numbers lie, beside how far apart, before bins
# see less of them; share of the different numbers that must be left.
_FAR, _KEPT = 2.0**-10, 0.5


def decimal_mark(texts: Any) -> str:
    """Returns a comma where some value has one that cannot set thousands apart, else a point."""
    # 1,234 may be either; what is sure on one side outvotes what is sure on the other.
    commas = pc.match_substring_regex(texts, _SURELY_DECIMAL_COMMA)
    points = pc.match_substring_regex(texts, r"^[+-]?\d*\.\d{1,2}$")
    return "," if (pc.sum(commas).as_py() or 0) > (pc.sum(points).as_py() or 0) else "."


def are_numbers(texts: Any, decimal: str) -> Any:
    """Says which texts are numbers with this decimal mark."""
    return pc.and_(
        pc.match_substring_regex(texts, _NUMBER[decimal]),
        pc.match_substring_regex(texts, _HAS_DIGIT),
    )


def numbers_of(texts: Any, decimal: str) -> Any:
    """Returns numbers as float64, or as int64 where all are whole and fit."""
    thousands = "," if decimal == "." else "."
    plain = pc.replace_substring(texts, thousands, "")
    if decimal == ",":
        plain = pc.replace_substring(plain, ",", ".")
    plain = pc.replace_substring(plain, "+", "")
    # Whole numbers stay what they are, as a column of integers would be: not by way of doubles,
    # which hold them to 2^53.
    for column in (plain, numbers := plain.cast(pa.float64())):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            continue
    return numbers


def are_clocks(texts: Any) -> Any:
    """Says which texts are times of day or durations."""
    return pc.and_(
        pc.match_substring_regex(texts, _CLOCK),
        pc.match_substring_regex(texts, _HAS_DIGIT),
    )


def seconds_of(texts: Any) -> Any:
    """Returns hours, minutes and seconds as seconds, float64."""
    parts = pc.extract_regex(texts, _CLOCK)
    seconds = np.zeros(len(texts))
    for name, size in _UNITS.items():
        for part in (parts.field(name), parts.field(f"iso_{name}")):
            # extract_regex gives an empty text for a group that took no part.
            number = pc.if_else(pc.equal(part, ""), pa.scalar("0"), part).cast(pa.float64())
            seconds += size * number.fill_null(0.0).to_numpy(zero_copy_only=False)
    half = pc.utf8_lower(pc.utf8_slice_codeunits(parts.field("half"), 0, 1))
    halves = half.fill_null("").to_numpy(zero_copy_only=False)
    if (halves != "").any():
        # 12:30 AM is half an hour after midnight, 12:30 PM half an hour after noon.
        first_hour = seconds >= _HALF_DAY
        seconds -= np.where((halves == "a") & first_hour, _HALF_DAY, 0.0)
        seconds += np.where((halves == "p") & ~first_hour, _HALF_DAY, 0.0)
    return pa.array(seconds, mask=texts.is_null().to_numpy(zero_copy_only=False))


def origin_of(column: Any) -> int:
    """Returns where to count numbers from, as they are compared would take several for one; else 0.

    Whole numbers are compared as doubles, and floats as float32, as tf.Examples store them.
    """
    if pa.types.is_floating(column.type):
        return _origin_of_floats(column.drop_null().to_numpy(zero_copy_only=False))
    if not pa.types.is_integer(column.type) or column.null_count == len(column):
        return 0
    limits = pc.min_max(column).as_py()
    if max(abs(limits["min"]), abs(limits["max"])) <= _EXACT:
        return 0
    exact = pc.unique(column.drop_null())
    if len(np.unique(exact.to_numpy().astype(np.float64))) == len(exact):
        return 0
    return int(limits["min"])


def _origin_of_floats(values: Any) -> int:
    """As origin_of: of numbers that lie close together and far from 0, as 1e9 and a bit."""
    finite = values[np.isfinite(values)]
    # Numbers on both sides of 0 lose nothing that matters: cheap to ask, and true of most columns.
    if not len(finite) or finite.min() <= 0 <= finite.max():
        return 0
    if finite.max() - finite.min() > _FAR * float(np.abs(finite).max()):
        return 0
    with np.errstate(over="ignore"):
        kept = len(np.unique(finite.astype(np.float32)))
    return math.floor(finite.min()) if kept < _KEPT * len(np.unique(finite)) else 0


def from_origin(column: Any, origin: int) -> Any:
    """Returns how far numbers are from `origin`, exactly where that is below 2^53."""
    if not pa.types.is_integer(column.type):
        return pc.subtract(column.cast(pa.float64(), safe=False), float(origin))
    missing = column.is_null().to_numpy(zero_copy_only=False)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    # 64 bits wrap around, so that differences are exact whatever the sign; those that do not fit
    # are far away, wherever exactly.
    near = (values.astype(np.uint64) - np.uint64(origin % 2**64)).view(np.int64)
    about = np.clip(values.astype(np.float64) - float(origin), -(2.0**62), 2.0**62)
    far = np.abs(about) >= 2.0**62
    return pa.array(np.where(far, about.astype(np.int64), near), mask=missing)
