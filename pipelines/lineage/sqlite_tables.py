"""Executions, artifacts and events read from an SQLite store at once, by SQL.

ML Metadata's own client asks by types, contexts and ids: for each run and node of a large store one
call, whose answer holds every execution again. The tables are the same in every release that this
project knows (schema version 10); of another one `is_known` says so, and the client is asked.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.custom_properties import Scalar
from tfx_loop.core.type_names import current_type_name
from tfx_loop.pipelines.control import ledger
from tfx_loop.pipelines.lineage.graph import (
    MADE,
    READ,
    Artifact,
    Edge,
    Execution,
    Graph,
    execution_of,
    node_name,
)

_SCHEMA_VERSION = 10
# How long a writer may keep the file, in seconds.
_PATIENCE_SECONDS = 20.0
_Rows = Iterator[tuple[Any, ...]]
# What the loop wrote of itself, how a node ended, and what an ExampleGen read.
_WITHOUT_PARAMETERS = (
    "WHERE name IN ('input_base', 'pattern', 'spans', '__execution_result__') OR execution_id IN "
    "(SELECT id FROM Execution WHERE type_id IN (SELECT id FROM Type WHERE name LIKE 'loop.%'))"
)


def read_graph(path: str, parameters: bool = False) -> Graph | None:
    """Returns the graph of a store; None where its tables are of a release that is not known.

    Args:
        path: The SQLite file.
        parameters: Read every parameter of every node, and not those alone that tell the way to
            raw files: they are most of a store, and few questions are about them.

    Raises:
        sqlite3.Error: The file is no SQLite database, or cannot be read.
    """
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE_SECONDS)
    with contextlib.closing(connection) as database:
        # One transaction, so that what a pipeline writes meanwhile is there as a whole or not.
        database.execute("BEGIN")
        versions = {version for (version,) in database.execute("SELECT * FROM MLMDEnv")}
        if versions != {_SCHEMA_VERSION}:
            return None
        types = dict(database.execute("SELECT id, name FROM Type"))
        return Graph.of(
            _executions(database, types, parameters),
            _artifacts(database, types),
            list(_edges(database)),
        )


def _executions(
    database: sqlite3.Connection, types: dict[int, str], parameters: bool
) -> dict[int, Execution]:
    properties = _properties(database, "Execution", "" if parameters else _WITHOUT_PARAMETERS)
    runs = _contexts(database, ledger.PIPELINE_RUN)
    nodes = _contexts(database, ledger.NODE)
    pipelines = _contexts(database, ledger.PIPELINE)
    rows: _Rows = database.execute(
        "SELECT id, type_id, last_known_state, create_time_since_epoch, "
        "last_update_time_since_epoch FROM Execution"
    )
    return {
        number: execution_of(
            number,
            types[type_id],
            run_id=runs.get(number, ""),
            node=node_name(nodes.get(number, ""), pipelines.get(number, "")),
            state=str(pb.Execution.State.Name(state or 0)),
            created_at_ms=created,
            updated_at_ms=updated,
            properties=properties.get(number, {}),
        )
        for number, type_id, state, created, updated in rows
    }


def _artifacts(database: sqlite3.Connection, types: dict[int, str]) -> dict[int, Artifact]:
    properties = _properties(database, "Artifact")
    rows: _Rows = database.execute(
        "SELECT id, type_id, uri, name, create_time_since_epoch, last_update_time_since_epoch "
        "FROM Artifact"
    )
    return {
        number: Artifact(
            id=number,
            # Stores that earlier releases wrote know our types by their former names.
            type=current_type_name(types[type_id]),
            uri=uri or "",
            name=name or "",
            created_at_ms=created,
            updated_at_ms=updated,
            properties=properties.get(number, {}),
        )
        for number, type_id, uri, name, created, updated in rows
    }


def _edges(database: sqlite3.Connection) -> Iterator[Edge]:
    keys: dict[int, str] = {}
    steps: _Rows = database.execute(
        # A path is key and index in turn; the first key is the name of the input or output.
        "SELECT event_id, step_key FROM EventPath WHERE NOT is_index_step ORDER BY rowid"
    )
    for event, key in steps:
        keys.setdefault(event, key or "")
    rows: _Rows = database.execute(
        "SELECT id, execution_id, artifact_id, type, milliseconds_since_epoch FROM Event "
        "ORDER BY id"
    )
    for number, execution, artifact, kind, at_ms in rows:
        if kind in READ or kind in MADE:
            yield Edge(execution, artifact, keys.get(number, ""), kind in READ, at_ms or 0)


def _properties(
    database: sqlite3.Connection, of: str, where: str = ""
) -> dict[int, dict[str, Scalar]]:
    found: dict[int, dict[str, Scalar]] = {}
    # Custom properties last, as `ledger.properties` reads them.
    rows: _Rows = database.execute(
        f"SELECT {of.lower()}_id, name, int_value, double_value, string_value "  # noqa: S608
        f"FROM {of}Property {where} ORDER BY is_custom_property"
    )
    for number, name, whole, double, text in rows:
        held = whole if whole is not None else text
        if held is None and double is not None:
            held = ledger.exact(double)
        if held is not None:
            found.setdefault(number, {})[name] = held
    return found


def _contexts(database: sqlite3.Connection, kind: str) -> dict[int, str]:
    """Returns the name of the context of one kind that each execution is in."""
    return dict(
        database.execute(
            "SELECT Association.execution_id, Context.name FROM Association "
            "JOIN Context ON Context.id = Association.context_id "
            # By id, so that of several contexts the newest stays, in each run the same.
            "JOIN Type ON Type.id = Context.type_id WHERE Type.name = ? ORDER BY Context.id",
            (kind,),
        )
    )
