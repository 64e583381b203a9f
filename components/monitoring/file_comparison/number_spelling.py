"""Numbers with what people write around and inside them: currencies, units, gaps, parentheses.

A column of `$1,234.50`, `49 877 kg` or `(12.5)` holds numbers. Read as text each of its cells is
another word, and the column is taken for a key, of which nothing is compared.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# As many cells tell what stands around the numbers; each is looked at in Python, and a longer one
# than this is no number.
_LOOKED_AT, _MOST_LETTERS = 500, 40
_NEARLY_ALL, _SOME = 0.95, 0.5
# Currencies that are written with letters before a number; other letters make a code of it: R12.
_CURRENCIES = frozenset(
    (
        *("AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "INR"),
        *("JPY", "KRW", "MXN", "NOK", "NZD", "PLN", "RUB", "SEK", "SGD", "TRY", "USD", "ZAR"),
        *("Fr", "Fr.", "kr", "kr.", "Rp", "Rs", "Rs.", "zł"),
    )
)
# Blanks of all widths, and the Swiss apostrophe: between thousands no number needs another reader.
_GAPS = " \u00a0\u2009\u202f'\u2019"
_SPELLED = re.compile(
    r"\(?[+-]?(?P<before>[^\d\s.,+()-][^\d\s,+()-]{0,3})?\s*[+-]?"
    rf"[.,]?\d[\d.,{_GAPS}]*?(?:[eE][+-]?\d+)?\s*(?P<after>[^\d\s.,+()_:/-][^\d()_:]{{0,9}})?\)?-?"
)
# Of years: 1990s, 2023年.
_OF_YEARS = ("s", "年", "년")
# Not 030 123 456, which is dialled.
_GROUPED = rf"^[+-]?[1-9]\d{{0,2}}([{_GAPS}]\d{{3}})+([.,]\d+)?$"


@dataclass(frozen=True)
class NumberAffixes:
    """What stands around the numbers of a column, and is no part of them.

    Attributes:
        before: A currency; empty for nothing.
        after: A currency, a unit or a percent sign; empty for nothing.
    """

    before: str = ""
    after: str = ""


BARE = NumberAffixes()


def affixes_in(texts: Any) -> NumberAffixes | None:
    """Returns what stands around nearly all numbers of a sample of text; None where it has few.

    Args:
        texts: Flat strings without nulls and outer blanks.
    """
    step = max(len(texts) // _LOOKED_AT, 1)
    cells = texts.take(pa.array(range(0, len(texts), step))).to_pylist()
    found = [
        _SPELLED.fullmatch(cell.replace("\u2212", "-")) if len(cell) <= _MOST_LETTERS else None
        for cell in cells
    ]
    # Most columns of text end here, and no cell of theirs is rewritten.
    if sum(map(bool, found)) < _SOME * len(cells):
        return None
    pairs = Counter((match["before"] or "", match["after"] or "") for match in found if match)
    # Some cells of the column may lack what the others have.
    dressed = Counter({pair: rows for pair, rows in pairs.items() if any(pair)})
    if not dressed:
        return BARE
    pair, rows = dressed.most_common(1)[0]
    before, after = pair
    if rows + pairs[("", "")] < _NEARLY_ALL * len(cells) or after in _OF_YEARS:
        return BARE
    if before and not _is_currency(before):
        return BARE
    return NumberAffixes(before, after)


def without_affixes(texts: Any, affixes: NumberAffixes) -> Any:
    """Returns texts as numbers are written without gaps, parentheses and what stands around them.

    Args:
        texts: Flat strings without outer blanks.
        affixes: What may stand around the numbers.
    """
    plain = pc.replace_substring(texts, "\u2212", "-")
    # As accountants write what is below zero, and as SAP does.
    plain = pc.replace_substring_regex(plain, r"^\(([^()]*)\)$", r"-\1")
    plain = pc.replace_substring_regex(plain, r"^(\d[\d.,]*)-$", r"-\1")
    if affixes.before:
        found = rf"^([+-]?){re.escape(affixes.before)}[\s\x{{a0}}]*([+-]?)"
        plain = pc.replace_substring_regex(plain, found, r"\1\2")
    if affixes.after:
        found = rf"[\s\x{{a0}}\x{{202f}}]*{re.escape(affixes.after)}$"
        plain = pc.replace_substring_regex(plain, found, "")
    grouped = pc.match_substring_regex(plain, _GROUPED)
    if not pc.any(grouped).as_py():
        return plain
    return pc.if_else(grouped, pc.replace_substring_regex(plain, f"[{_GAPS}]", ""), plain)


def _is_currency(text: str) -> bool:
    return text in _CURRENCIES or any(unicodedata.category(letter) == "Sc" for letter in text)
