"""The compiler's log of one model: sizes, memory, and which operators are mapped."""

import dataclasses
import os
import re
from collections.abc import Iterable

from tfx_loop.contracts.compiler_log import ModelLog, OperatorRow

_MAPPED = "mapped to edge tpu"
# As the log prints them: two decimals, so the bytes are only near.
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_ROW = re.compile(r"^([A-Za-z][A-Za-z0-9_-]*)\s+(\d+)\s+(\S.*)$")
_HEADER = re.compile(r"^operator\s+count\s+status$", re.IGNORECASE)
_SIZE = re.compile(r"^([0-9.]+)\s*(B|KiB|MiB|GiB)$")
# Stable names for the sentences that say why an operator stays on the CPU.
_STATUS_REASONS = {
    "more than one subgraph is not supported": "after_the_first_subgraph",
    "operation is working on an unsupported data type": "data_type",
    "operation is otherwise supported, but not mapped due to some unspecified limitation": (
        "unspecified_limitation"
    ),
    "operation version not supported": "operation_version",
    "operation not supported": "operation",
    "tensor has unsupported rank (up to 3 innermost dimensions mapped)": "rank",
    "model contains a dynamic-sized tensor": "dynamic_shape",
}


def models_in(lines: list[str]) -> tuple[ModelLog, ...]:
    """Returns one entry a section; a section begins with the name of the input."""
    starts = [i for i, line in enumerate(lines) if _field(line)[0] in ("input model", "input")]
    ends = [*starts, len(lines)][1:]
    found = [_model(lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    # A search for a delegate names a model once a try; the last try counts.
    return tuple({model.input_model: model for model in found}.values())


def with_tables(
    models: tuple[ModelLog, ...], operation_logs: Iterable[str]
) -> tuple[ModelLog, ...]:
    """Adds the tables of the operation logs to the models that have none, by output's name."""
    tables = {
        os.path.basename(found.output_model or ""): found
        for text in operation_logs
        for found in models_in([line.strip() for line in text.splitlines()])
    }
    completed = []
    for model in models:
        found = tables.get(os.path.basename(model.output_model or ""))
        if found is not None and found.operators and not model.operators:
            # Two counts that contradict each other leave the number unknown.
            agreed = model.mapped in (None, found.mapped)
            model = dataclasses.replace(
                model, operators=found.operators, mapped=found.mapped if agreed else None
            )
        completed.append(model)
    return tuple(completed)


def _model(lines: list[str]) -> ModelLog:
    fields = dict(_field(line) for line in lines if _field(line)[1])
    operators = _operators(lines)
    used = _bytes(fields.get("on-chip memory used for caching model parameters"))
    remaining = _bytes(fields.get("on-chip memory remaining for caching model parameters"))
    available = _bytes(fields.get("on-chip memory available for caching model parameters"))
    # Version 2 prints what is available, later ones what remains.
    if remaining is None and used is not None and available is not None:
        remaining = available - used
    operations = _int(fields.get("total number of operations"))
    return ModelLog(
        input_model=fields.get("input model", fields.get("input", "")),
        output_model=fields.get("output model", fields.get("output")),
        input_bytes=_bytes(fields.get("input size")),
        output_bytes=_bytes(fields.get("output size")),
        on_chip_used_bytes=used,
        on_chip_remaining_bytes=remaining,
        off_chip_bytes=_bytes(
            fields.get("off-chip memory used for streaming uncached model parameters")
        ),
        subgraphs=_int(fields.get("number of edge tpu subgraphs")),
        operations=operations,
        mapped=_mapped(fields, operators),
        operators=operators,
    )


def _mapped(fields: dict[str, str], operators: tuple[OperatorRow, ...]) -> int | None:
    """Returns how many operators are mapped; None where the table and the sentence disagree.

    The sentence is printed only when some stay on the CPU, and the table only when asked for. A
    summary with neither says nothing, not even where it says "compiled successfully".
    """
    said = _int(fields.get("number of operations that will run on edge tpu"))
    if not operators:
        return said
    counted = sum(row.count for row in operators if row.mapped)
    return counted if said in (None, counted) else None


def _operators(lines: list[str]) -> tuple[OperatorRow, ...]:
    rows: list[OperatorRow] = []
    inside = False
    for line in lines:
        if _HEADER.match(line):
            # A second table in a section replaces the first, as the last try counts.
            inside, rows = True, []
            continue
        match = _ROW.match(line) if inside else None
        if match:
            op, count, status = match.groups()
            mapped = status.lower() == _MAPPED
            reason = "mapped" if mapped else _STATUS_REASONS.get(status.lower(), "other")
            rows.append(
                OperatorRow(op=op, count=int(count), status=status, mapped=mapped, reason=reason)
            )
        elif line:
            inside = False
    return tuple(rows)


def _field(line: str) -> tuple[str, str]:
    """Returns name and value of a line such as `Input size: 4.41MiB`."""
    name, colon, value = line.removeprefix("INFO: ").partition(":")
    return (name.strip().lower(), value.strip()) if colon else ("", "")


def _int(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None


def _bytes(value: str | None) -> int | None:
    match = _SIZE.match(value or "")
    if match is None:
        return None
    try:
        return round(float(match.group(1)) * _UNITS[match.group(2)])
    except ValueError:
        return None
