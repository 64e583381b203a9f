"""Splits of spans into training and held-out rows.

A span is one Parquet file (a month, a day). A row's split depends on its key alone, so a row that
once was held out stays held out in every later training: a champion and its challenger are judged
on rows that neither has seen. Where rows share their luck (the weather of a day, a machine, an
account) a model that trained on some of them answers the others better than any it will ever meet:
with a group column all rows of a group are in one split, and it depends on the group alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.core.hashing import hash_fractions

TRAIN, EVAL = "train", "eval"


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How rows are split and which are left out.

    Attributes:
        key_column: Column that identifies a row; it decides the split and is then dropped.
        group_column: Column that decides the split in place of the key, and is dropped, too: rows
            of one value (a day, a machine, an account) are held out together. Empty splits row by
            row.
        label_column: Rows without this label are left out; empty keeps all.
        eval_fraction: Share of the rows held out, in (0, 1).
        seed: Another seed holds out other rows.
        keep_key: Keep the key in the examples, for SkewMonitor to find rows by. Keep the model
            from it: leave it out of the schema that Transform reads.
    """

    key_column: str
    group_column: str = ""
    label_column: str = ""
    # As common as any other split, and TFX's own ExampleGen holds out a third. Chosen, not
    # measured.
    eval_fraction: float = 0.2
    seed: int = 0
    keep_key: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.eval_fraction < 1:
            raise ConfigError(
                f"eval_fraction must be between 0 and 1, both excluded, got {self.eval_fraction}."
            )


def parse_spans(text: str) -> tuple[int, ...]:
    """Returns the span numbers of a string such as `1,2,5`, sorted, each once.

    Raises:
        ConfigError: The string names no span, or something that is not a number.
    """
    try:
        spans = sorted({int(part) for part in text.split(",") if part.strip()})
    except ValueError as error:
        raise ConfigError(f"spans must be whole numbers with commas, got {text!r}.") from error
    if not spans or spans[0] < 0:
        raise ConfigError(f"spans must name at least one span from 0 on, got {text!r}.")
    return tuple(spans)


def format_spans(spans: Sequence[int]) -> str:
    """Returns the string that `parse_spans` reads."""
    return ",".join(str(span) for span in spans)


def split_rows(rows: pa.Table, rule: SplitRule) -> dict[str, pa.Table]:
    """Returns the rows of each split, without the columns of key (unless kept) and group.

    Args:
        rows: One span. Strings, integers and floats; at least `rule.key_column`.
        rule: How to split.

    Raises:
        DataError: A column that the rule names is missing, or a key or a group is null.
    """
    for column in filter(None, (rule.key_column, rule.group_column, rule.label_column)):
        if column not in rows.column_names:
            raise DataError(
                f"Expected a column {column!r} in the span, found {rows.column_names}. "
                "Name the right column in SpanExampleGen."
            )
    if rule.label_column:
        label = rows[rule.label_column]
        known = pc.is_valid(label)
        if pa.types.is_floating(label.type):
            # Pandas writes a missing number as NaN, which Arrow does not count as null.
            known = pc.and_(known, pc.invert(pc.fill_null(pc.is_nan(label), True)))
        rows = rows.filter(known)
    named = {rule.key_column: "key"}
    if rule.group_column:
        named.setdefault(rule.group_column, "group")
    for column, what in named.items():
        if nulls := rows[column].null_count:
            raise DataError(
                f"Expected a {what} in every row of {column!r}, found {nulls} nulls. "
                "Fill them, or leave these rows out of the span."
            )
    deciding = rows[rule.group_column or rule.key_column].to_pylist()
    # A hash and no generator: the row's split does not depend on its place or on other rows.
    fractions = hash_fractions((str(value) for value in deciding), rule.seed, "split")
    held_out = fractions < rule.eval_fraction
    dropped = [column for column in named if not (rule.keep_key and column == rule.key_column)]
    columns = rows.drop(dropped)
    return {TRAIN: columns.filter(pa.array(~held_out)), EVAL: columns.filter(pa.array(held_out))}
