"""Codes of faults: features and rows that are broken, rather than drifted."""

from dataclasses import dataclass

# Faults that show in the columns, before anything is counted.
ABSENT_FEATURE = "absent_feature"
NOT_IN_REFERENCE = "not_in_reference"
TYPE_CHANGED = "type_changed"
SCHEMA_ANOMALY = "schema_anomaly"
# Faults that show in the counts.
INFINITE_VALUES = "infinite_values"
ALL_MISSING = "all_missing"
MISSING_FLOOD = "missing_flood"
CONSTANT_VALUE = "constant_value"
STUCK_VALUE = "stuck_value"
NEW_CATEGORY_FLOOD = "new_category_flood"
UNIT_CHANGED = "unit_changed"
OUT_OF_RANGE = "out_of_range"
# Faults of whole rows.
DUPLICATE_FLOOD = "duplicate_flood"
SILENT_SOURCE = "silent_source"
LATE_SOURCE = "late_source"

# Faults that a model's answers have, too, when they are all alike because its inputs moved.
ONE_SIDED = frozenset({CONSTANT_VALUE, STUCK_VALUE, UNIT_CHANGED})
# What a column may do that stands still for a while by itself.
STANDING = frozenset({CONSTANT_VALUE, STUCK_VALUE})


@dataclass(frozen=True)
class Fault:
    """A fault and what more there is to say about it."""

    code: str
    note: str = ""
