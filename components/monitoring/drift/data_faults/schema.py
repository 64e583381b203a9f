"""Breaches of a TFDV schema: types, presence, domains and values a row, as TFX wrote them.

The schema is what the data's owner expects, so a breach is a fault whatever the reference had.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from tfx_loop.contracts.drift_report import FeatureDrift
from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.data.tables.csv_files import MISSING_WORDS
from tfx_loop.monitoring.drift.data_faults.faults import SCHEMA_ANOMALY, TYPE_CHANGED
from tfx_loop.monitoring.profile.columns import strings

SERVING = "SERVING"
_MISSING_WORDS = frozenset(MISSING_WORDS)
# The type of an entry that a schema, and no comparison with the reference, made.
BREACH = "schema"
# Values outside of a domain that are quoted, and of which rows are counted for that.
_QUOTED, _COUNTED = 3, 1_000


@dataclass
class _ColumnTally:
    rows: int = 0
    missing: int = 0
    outside: int = 0
    values: int = 0
    most_values: int = 0
    examples: Counter[str] = field(default_factory=Counter)


class BatchReader(Protocol):
    """A table that is read in pieces, as TableFile is."""

    @property
    def schema(self) -> Any:
        """The pyarrow schema."""

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Yields record batches of these columns."""


def check_schema(
    table: BatchReader,
    schema: Any,
    ignored: Collection[str] = (),
    redaction: Redaction = OPEN,
) -> list[FeatureDrift]:
    """Reads a table once and returns its breaches of the schema, one entry a feature.

    Columns that the schema does not know are a breach too, as TFDV has it.

    Args:
        table: The rows.
        schema: TFDV's Schema message; features that it says are not in the environment `SERVING`
            are not asked for.
        ignored: Features that are not looked at.
        redaction: Which values a breach may quote.
    """
    served = [f for f in schema.feature if SERVING not in f.not_in_environment]
    known = {feature.name: feature for feature in served if feature.name not in ignored}
    domains = {domain.name: set(domain.value) for domain in schema.string_domain}
    anomalies: dict[str, tuple[str, str]] = {}
    for name in table.schema.names:
        if name not in {*known, *ignored} and not name.startswith("__index_level_"):
            anomalies[name] = (SCHEMA_ANOMALY, "the schema has no such feature")
    checked = []
    for name, feature in known.items():
        if name not in table.schema.names:
            if feature.presence.min_fraction > 0 or feature.presence.min_count > 0:
                anomalies[name] = (SCHEMA_ANOMALY, "required by the schema, and not there")
        elif not _type_fits(feature.type, table.schema.field(name).type):
            note = f"{_type_name(feature.type)} in the schema, {table.schema.field(name).type} here"
            anomalies[name] = (TYPE_CHANGED, note)
        else:
            checked.append(name)
    found = {name: _ColumnTally() for name in checked}
    for batch in table.batches(checked) if checked else ():
        for place, name in enumerate(checked):
            _read(found[name], batch.column(place), known[name], domains)
    for name in checked:
        quoted = redaction.examples(name, found[name].examples, _QUOTED)
        if note := _breach(found[name], known[name], _named_missing(known[name], domains), quoted):
            anomalies[name] = (SCHEMA_ANOMALY, note)
    return [
        FeatureDrift(feature=name, type=BREACH, fault=fault, note=note)
        for name, (fault, note) in anomalies.items()
    ]


def _inner(kind: Any) -> Any:
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return kind.value_type if nested or pa.types.is_fixed_size_list(kind) else kind


def _type_fits(expected: int, kind: Any) -> bool:
    """FeatureType of schema.proto: 1 BYTES, 2 INT, 3 FLOAT; 0 and 4 expect nothing."""
    kind = _inner(kind)
    # A column of nulls has no type of its own: it is judged by its presence.
    if expected not in (1, 2, 3) or pa.types.is_null(kind):
        return True
    if expected == 2:
        return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))
    # Readers of CSV make whole numbers of a column of floats without fractions.
    if expected == 3:
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
    return not (pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _type_name(expected: int) -> str:
    return {1: "BYTES", 2: "INT", 3: "FLOAT"}.get(expected, "any type")


def _read(found: _ColumnTally, column: Any, feature: Any, domains: dict[str, set[str]]) -> None:
    found.rows += len(column)
    found.missing += column.null_count
    if _inner(column.type) != column.type:
        lengths = pc.list_value_length(column.drop_null())
        found.most_values = max(found.most_values, pc.max(lengths).as_py() or 0)
        column = column.flatten()
    else:
        found.most_values = max(found.most_values, 1)
    column = column.drop_null()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    found.values += len(column)
    outside = _outside(column, feature, domains)
    if outside is not None and len(outside):
        found.outside += len(outside)
        for value, rows in Counter(outside.to_pylist()).most_common():
            if len(found.examples) < _COUNTED or str(value) in found.examples:
                found.examples[str(value)] += rows


def _allowed(feature: Any, domains: dict[str, set[str]]) -> set[str]:
    """The words of a feature's domain; none where it has no such domain."""
    which = feature.WhichOneof("domain_info")
    if which == "domain":
        return domains.get(feature.domain, set())
    return set(feature.string_domain.value) if which == "string_domain" else set()


def _named_missing(feature: Any, domains: dict[str, set[str]]) -> bool:
    """Says whether the domain has a word that readers of CSV take for a missing value.

    TFDV takes `NA` for a text, and infers that it is in every row.
    """
    return bool(_allowed(feature, domains) & _MISSING_WORDS)


def _outside(column: Any, feature: Any, domains: dict[str, set[str]]) -> Any:
    which = feature.WhichOneof("domain_info")
    truths = pa.types.is_boolean(column.type)
    if allowed := _allowed(feature, domains):
        words = strings(column.cast(pa.string()) if truths else column)
        if truths:
            # pandas writes True, Arrow true.
            allowed = {word.lower() for word in allowed}
        inside = pc.is_in(words, value_set=pa.array(sorted(allowed), pa.string()))
        return column.filter(pc.invert(inside))
    if which in ("int_domain", "float_domain"):
        domain = getattr(feature, which)
        if truths:
            column = column.cast(pa.int8())
        inside = pa.array([True] * len(column))
        if domain.HasField("min"):
            inside = pc.and_(inside, pc.greater_equal(column, pa.scalar(domain.min)))
        if domain.HasField("max"):
            inside = pc.and_(inside, pc.less_equal(column, pa.scalar(domain.max)))
        return column.filter(pc.invert(inside))
    return None


def _breach(found: _ColumnTally, feature: Any, named_missing: bool, quoted: Sequence[str]) -> str:
    """The first breach in words; empty for none."""
    there = 1.0 if named_missing else 1 - found.missing / max(found.rows, 1)
    if there < feature.presence.min_fraction:
        return f"in {there:.1%} of the rows, at least {feature.presence.min_fraction:.1%} expected"
    most = feature.value_count.max
    if most and found.most_values > most:
        return f"up to {found.most_values} values a row, at most {most} expected"
    inside = 1.0
    if feature.distribution_constraints.HasField("min_domain_mass"):
        inside = feature.distribution_constraints.min_domain_mass
    share = 1 - found.outside / max(found.values, 1)
    if share < inside:
        such = f", such as {', '.join(map(repr, quoted))}" if quoted else ""
        return f"{1 - share:.1%} of the values are outside the domain{such}"
    return ""
