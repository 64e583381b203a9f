"""Columns that only move forward: calendar values in the spellings that files have, and keys.

Years, months, dates and epochs of two tables differ because time has passed, and row keys because
the rows are others: neither is drift, and no test of them says anything.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.monitoring.profile.columns import is_text_type, strings

CALENDAR_NOTE = "dates and times differ between any two files"
EPOCH_NOTE = (
    "reads as a time since 1970, by its name, as it rises with the rows or is spread evenly"
)
KEY_NOTE = "another whole number in each row: a key, no feature"
RISING_KEY_NOTE = "whole numbers that rise with the rows, under the name of a key: no feature"

_KEY_NAME = re.compile(
    r"(^|[_\s.-])(id|ids|uuid|guid|key|index|rowid|row|hash|no|nr|num|number)$", re.IGNORECASE
)
_TIME_NAME = re.compile(
    r"((?<!candi)(?<!man)date|time|timestamp"
    r"|(^|[_\s.-])(ts|at|epoch|created|updated|modified|started|ended|finished)"
    r"|(?-i:(?<=[a-z])(At|Ts)))([_\s.-](utc|gmt|local|unix|epoch|s|secs?|seconds))?$",
    re.IGNORECASE,
)
# Times that are amounts: of 1.4e9 nanoseconds nobody can say that they are a date.
_DURATION_NAME = re.compile(
    r"duration|latency|elapsed|delay"
    r"|(run|life|up|down|over|cpu|wall|wait|response|process(ing)?)[_\s.-]?time",
    re.IGNORECASE,
)
_YEAR_NAME = re.compile(r"(^|[_\s.-])(year|years|yr|yyyy|jahr|fy)([_\s.-]|$)", re.IGNORECASE)
# Years of something that is no event of the row: such a column is a measurement, and may drift.
_NO_EVENT = re.compile(r"built|birth|born|model|made|manufact|construct|renov|vintage", re.I)
# Share of the values that must read as calendar: a few cells may hold anything.
_NEARLY_ALL = 0.95
# Fewer rows may all be distinct by chance.
_LEAST_ROWS = 100
_EPOCH = (631_152_000.0, 2_524_608_000.0)  # 1990 to 2050, in seconds.
# No measurement is finer than a float can hold: these are random numbers or hashes.
_EXACT = 2**53
# Pairs of rows that would have one number by chance, had they been drawn from the whole numbers
# between the least and the largest. Numbers drawn in any other way meet more often, so that none
# does where so many are due has a chance below e^-20: somebody gave each row a number of its own.
_DUE_REPEATS = 20.0
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)
_UNIT_NAMES = {1e3: "_ms", 1e6: "_us", 1e9: "_ns"}
# An epoch that its name does not tell rises with the rows: of two neighbours that differ, the later
# one is larger in this share at least, as some events arrive late. Of amounts it is half, and the
# chance that eleven of them lie in such an order is below one in a hundred thousand.
_RISING = 0.9
_LEAST_STEPS = 10
# Shuffled, it is spread evenly over a few years, a small part of the time since 1970, as what comes
# at a steady rate is; amounts crowd about a middle. Largest distance from a straight line, and
# latest by earliest.
_EVEN, _FEW_YEARS = 0.1, 1.1
# Days as Excel counts them, and astronomers (Julian days), from 1990 to 2050; under a name alone,
# as amounts lie there, too.
_DAY_COUNTS = ((32_874.0, 54_789.0), (2_447_892.5, 2_469_807.5))
# Weeks of years as 202352: fewer different ones may be amounts.
_LEAST_WEEKS = 8

_YEAR = r"(1[89]|2[01])\d\d"
_MONTH = r"(0?[1-9]|1[0-2])"
_DAY = r"(0?[1-9]|[12]\d|3[01])"
_NAMED = (
    r"(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?"
    r"|oct(ober)?|nov(ember)?|dec(ember)?)\.?"
)
# As French, German, Italian, Dutch, Portuguese and Spanish write them, where other than English.
_OTHERS = (
    r"(janv(ier)?|f[eé]vr(ier)?|mars|avr(il)?|mai|juin|juil(let)?|ao[uû]t|d[eé]c(embre)?"
    r"|jan(uar|uari|eiro)|j[äa]n(ner)?|feb(ruar|ruari|rero|braio)|m[äa]rz|maart|mrt|mei|jun[io]|giugno"
    r"|jul[io]|luglio|okt(ober)?|dez(ember|embro)?|mrz|gen(naio)?|mar(zo|ço)|apr(ile)|mag(gio)?|giu"
    r"|lug|ago(sto)?|set(t|tembre|embro)?|ott(obre)?|dic(embre|iembre)?|ene(ro)?|fev(ereiro)?"
    r"|abr(il)?|mayo?|juni[on]?|juli[on]?|septiembre|septembre|octubre|octobre|outubro|out"
    r"|nov(embre|iembre|embro))\.?"
)
_CLOCK = r"([T ,_]+\d{1,2}[:-]?\d{2}.*|T\d{2}.*)?"
_SPELLINGS = (
    rf"{_YEAR}[-/.]{_MONTH}([-/.]{_DAY}{_CLOCK})?",
    rf"{_YEAR}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])({_CLOCK}|([01]\d|2[0-3])([0-5]\d){{1,2}})",
    rf"{_YEAR}-([0-2]\d\d|3[0-5]\d|36[0-6])",
    rf"(0[1-9]|[12]\d|3[01])(0[1-9]|1[0-2]){_YEAR}",
    rf"(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]){_YEAR}",
    rf"\d{{1,2}}:\d\d(:\d\d)?,? +{_DAY}[-/.]{_MONTH}[-/.]({_YEAR}|\d\d)",
    rf"{_DAY}[-/.]{_MONTH}[-/.]{_YEAR}{_CLOCK}",
    rf"{_MONTH}[-/.]{_DAY}[-/.]{_YEAR}{_CLOCK}",
    rf"{_MONTH}[-/]{_YEAR}",
    rf"{_DAY}/{_MONTH}/\d\d{_CLOCK}",
    rf"{_MONTH}/{_DAY}/\d\d{_CLOCK}",
    rf"(0[1-9]|[12]\d|3[01])\.(0[1-9]|1[0-2])\.\d\d{_CLOCK}",
    rf"{_YEAR}[ _](0[1-9]|1[0-2])[ _](0[1-9]|[12]\d|3[01]){_CLOCK}",
    rf"{_YEAR}[年년] ?({_MONTH}[月월] ?({_DAY}[日일])?)?{_CLOCK}",
    rf"{_DAY}[./]{_NAMED}[/]{_YEAR}:\d\d:\d\d.*",
    # For nobody knows, and for never.
    r"(9999|0001|0000)[-/.]\d\d[-/.]\d\d.*",
    # Seasons and financial years; decades.
    rf"(fy[- ]?)?{_YEAR}[-/]({_YEAR}|\d\d)",
    rf"{_YEAR}s",
    rf"(kw|cw|wk|week) ?\d{{1,2}}[- /,]*{_YEAR}",
    rf"{_YEAR}[- /]?(kw|cw|wk|week) ?\d{{1,2}}",
    rf"{_YEAR}[- ]?[qh][1-4]",
    rf"[qh][1-4][- /]?{_YEAR}",
    rf"{_YEAR}-?w\d\d(-?\d)?",
    rf"fy[- ]?'?({_YEAR}|\d\d)",
    rf"{_DAY}[-/. ]*{_NAMED}[-/., ]*({_YEAR}|\d\d){_CLOCK}",
    rf"({_DAY}[-/. ]*(de )?)?{_OTHERS}[-/., ]*(de )?{_YEAR}{_CLOCK}",
    rf"{_NAMED} *{_DAY},? +{_YEAR}{_CLOCK}",
    rf"{_NAMED} *{_DAY} \d\d:\d\d(:\d\d)? ([a-z]+ )?{_YEAR}",
    rf"{_NAMED}[-/ ']*({_YEAR}|\d\d)",
    rf"{_YEAR}[-/ ]{_NAMED}([-/ ]{_DAY})?{_CLOCK}",
)
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?)?$"
_ISO_ZONED = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}(:?\d{2})?)$"
_CALENDAR_TEXT = (
    rf"(?i)^((mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?,? +)?({'|'.join(_SPELLINGS)})$"
)


def calendar_note(name: str, column: Any, rises: bool = False) -> str:
    """Returns why a flat column reads as calendar values; empty where it does not.

    Args:
        name: The column's name, which tells a year from another number of four digits.
        column: Its values, a pyarrow array.
        rises: They never fall from row to row, or never rise.
    """
    kind = column.type
    present = column.drop_null()
    if not len(present):
        return ""
    if is_text_type(kind):
        return _text_note(name, strings(present), rises)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = present.to_numpy(zero_copy_only=False)
        return _number_note(name, values[np.isfinite(values)], rises)
    return ""


def order_of(column: Any) -> Any:
    """Returns what rows are ordered by, as whole numbers: of times the milliseconds since 1970.

    Args:
        column: A flat column of dates and times, of whole numbers, or of text, of which what is
            written as ISO 8601, with a zone or without, has a place in the order. Anything else
            has none and is null.
    """
    kind = column.type
    if is_text_type(kind):
        return _order_of_texts(strings(column))
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("ms", kind.tz), safe=False)
    elif not pa.types.is_integer(kind):
        return pa.nulls(len(column), pa.int64())
    return column.cast(pa.int64())


def is_time(name: str, column: Any) -> bool:
    """Says whether rows may be ordered by a flat column: dates, times or whole numbers.

    Args:
        name: The column's name.
        column: Its values, a pyarrow array; one without a value may be anything.
    """
    if column.null_count == len(column) or calendar_note(name, column):
        return True
    return bool(order_of(column).null_count < len(column))


def _order_of_texts(texts: Any) -> Any:
    """Milliseconds since 1970 of what is written as ISO 8601, in UTC where it has a zone."""
    texts = pc.utf8_trim_whitespace(texts)
    # Arrow reads no more digits than the unit has, and BigQuery's exports end with the zone's name.
    texts = pc.replace_substring_regex(texts, r"(\.\d{3})\d{1,6}", r"\1")
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    found = pa.nulls(len(texts), pa.int64())
    for spelling, zone in ((_ISO, None), (_ISO_ZONED, "UTC")):
        fitting = pc.match_substring_regex(texts, spelling)
        times = pc.if_else(fitting, texts, pa.scalar(None, texts.type))
        try:
            found = pc.coalesce(found, times.cast(pa.timestamp("ms", zone)).cast(pa.int64()))
        except pa.ArrowInvalid:  # 2023-02-30
            return pa.nulls(len(texts), pa.int64())
    return found


def milliseconds_of(column: Any) -> Any:
    """Returns times as milliseconds since 1970; null where a value is none.

    Args:
        column: As of `order_of`; whole numbers are seconds, milli-, micro- or nanoseconds between
            1990 and 2050.
    """
    found = order_of(column)
    if not pa.types.is_integer(column.type):
        return found
    values = found.to_numpy(zero_copy_only=False).astype(np.float64)
    places = np.full(len(values), -1, dtype=np.int64)
    for unit in _EPOCH_UNITS:
        with np.errstate(invalid="ignore"):
            fitting = (values >= _EPOCH[0] * unit) & (values <= _EPOCH[1] * unit)
        places[fitting] = np.floor(values[fitting] / (unit / 1e3)).astype(np.int64)
    return pa.array(places, mask=places < 0)


def is_key(name: str, column: Any, rises: bool = False) -> bool:
    """Says whether a flat column of whole numbers names rows: another one in each.

    Or what rows are of: the orders of order lines rise with the rows, and so their name says.

    Args:
        name: The column's name.
        column: Its values, a pyarrow array; floats are whole numbers where pandas had gaps.
        rises: They never fall from row to row.
    """
    if pa.types.is_floating(column.type):
        column = _as_whole(column)
    if not pa.types.is_integer(column.type):
        return False
    present = column.drop_null()
    different = len(pc.unique(present))
    if different < _LEAST_ROWS:
        return False
    # Keys that repeat (an order's lines) are told by their name as well, as amounts rise by chance.
    if different < len(present):
        return rises and bool(_KEY_NAME.search(name))
    limits = pc.min_max(present)
    width = limits["max"].as_py() - limits["min"].as_py() + 1
    # The birthday problem: n (n - 1) / 2 pairs, of which one in `width` is one of equals.
    due = different * (different - 1) / 2 / width
    return bool(rises or width > _EXACT or due >= _DUE_REPEATS or _KEY_NAME.search(name))


def _as_whole(column: Any) -> Any:
    """Returns floats as whole numbers where all are, else as they are."""
    values = column.drop_null().to_numpy(zero_copy_only=False)
    # Whole at the first is cheap to ask, and most columns of floats end here.
    if not len(values) or np.any(values[:_LEAST_ROWS] != np.floor(values[:_LEAST_ROWS])):
        return column
    try:
        return column.filter(pc.is_finite(column)).cast(pa.int64())
    except pa.ArrowInvalid:
        return column


def _text_note(name: str, texts: Any, rises: bool) -> str:
    tally = pc.value_counts(pc.utf8_trim_whitespace(texts))
    words, rows = tally.field("values"), tally.field("counts").to_numpy()
    # A blank tells nothing; nor does a word for it, which is among the few cells that may differ.
    some = pc.not_equal(words, "").to_numpy(zero_copy_only=False)
    if not rows[some].sum():
        return ""
    fitting = pc.match_substring_regex(words, _CALENDAR_TEXT).to_numpy(zero_copy_only=False)
    if rows[fitting & some].sum() >= _NEARLY_ALL * rows[some].sum():
        return CALENDAR_NOTE
    # No number of more digits fits what holds an epoch.
    digits = pc.all(pc.match_substring_regex(words, r"^\d{4,18}$")).as_py()
    return _number_note(name, words.cast(pa.int64()).to_numpy(), rises) if digits else ""


def _number_note(name: str, values: npt.NDArray[Any], rises: bool) -> str:
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    whole = bool(np.all(values == np.floor(values)))
    for unit in _EPOCH_UNITS:
        # Amounts of money and keys lie in these ranges, too: a range alone tells nothing.
        if _EPOCH[0] * unit <= low <= high <= _EPOCH[1] * unit and (
            _is_named_time(name, unit)
            # Within a second nothing came at a steady rate: these are large numbers.
            or (high - low >= unit and (_mostly_rises(values) or _evenly_spread(values)))
        ):
            return EPOCH_NOTE
    if any(first <= low <= high <= last for first, last in _DAY_COUNTS) and _is_named_time(name, 1):
        return CALENDAR_NOTE
    if not whole:
        return ""
    if 1800 <= low <= high <= 2200:
        event = _YEAR_NAME.search(name) and not _NO_EVENT.search(name)
        return CALENDAR_NOTE if event or (rises and not _NO_EVENT.search(name)) else ""
    return CALENDAR_NOTE if _is_compact(values.astype(np.int64), low, high, rises) else ""


def _is_named_time(name: str, unit: float) -> bool:
    """Says whether a name tells a time; a unit does, too, of which as much is no duration."""
    if name.lower().endswith(_UNIT_NAMES.get(unit, "\0")):
        return True
    return bool(_TIME_NAME.search(name)) and not _DURATION_NAME.search(name)


def _mostly_rises(values: npt.NDArray[Any]) -> bool:
    """Says whether values rise from row to row, but for a few, or fall: the newest row first."""
    steps = values[1:].astype(np.float64) - values[:-1].astype(np.float64)
    up = steps[steps != 0] > 0
    return len(up) >= _LEAST_STEPS and max(np.mean(up), np.mean(~up)) >= _RISING


def _evenly_spread(values: npt.NDArray[Any]) -> bool:
    """Says whether many values lie evenly within a few years."""
    found = np.unique(values).astype(np.float64)
    if len(found) < _LEAST_ROWS or found[-1] > _FEW_YEARS * found[0]:
        return False
    places = (found - found[0]) / (found[-1] - found[0])
    return bool(np.abs(places - np.linspace(0, 1, len(found))).max() < _EVEN)


def _is_compact(values: npt.NDArray[np.int64], low: float, high: float, rises: bool) -> bool:
    """Says whether whole numbers are written dates, months or times: 20230114, 202301.

    The range alone would take amounts and keys for dates; that day and month are possible in every
    row is what amounts do not have.
    """
    if 19_000_101_000_000 <= low <= high <= 21_001_231_235_959:
        values, low, high = values // 10**6, low // 10**6, high // 10**6
    if 19_000_101 <= low <= high <= 21_001_231:
        return _are_days(values % 100, values // 100 % 100)
    if 190_001 <= low <= high <= 210_053:
        weeks = values % 100
        if _are_days(np.ones_like(values), weeks):
            return True
        return bool(((weeks >= 1) & (weeks <= 53)).all() and len(np.unique(values)) >= _LEAST_WEEKS)
    # 14012023, which a reader of numbers makes of 01012023, too.
    years = values % 10_000
    if low >= 1_011_900 and ((years >= 1_900) & (years <= 2_100)).all():
        first, second = values // 10**6, values // 10**4 % 100
        return _are_days(first, second) or _are_days(second, first)
    # 230114: one in thirty numbers of six digits is a date, so that they rise must be seen, too.
    return (
        rises and 10_101 <= low <= high <= 991_231 and _are_days(values % 100, values // 100 % 100)
    )


def _are_days(days: npt.NDArray[np.int64], months: npt.NDArray[np.int64]) -> bool:
    return bool(((days >= 1) & (days <= 31) & (months >= 1) & (months <= 12)).all())
