"""Lineage read from a store by its address, the quickest way that there is."""

import sqlite3
from typing import Any

from tfx_loop.core.errors import DataError, first_line
from tfx_loop.pipelines.control.store_address import SQLITE, read_address
from tfx_loop.pipelines.control.stores import StoreMode, check_is_store, open_store
from tfx_loop.pipelines.lineage.graph import Graph, load
from tfx_loop.pipelines.lineage.sqlite_tables import read_graph


def open_graph(place: str, as_of_ms: int | None = None, parameters: bool = False) -> Graph:
    """Returns the graph of a store.

    Args:
        place: Its address (`control/store_address.py`).
        as_of_ms: What was recorded by then alone, milliseconds since epoch; None takes all.
        parameters: Whether every parameter of every node is asked for.

    Raises:
        DataError: There is no store, or it cannot be read.
    """
    graph = _whole(place, parameters)
    return graph if as_of_ms is None else graph.as_of(as_of_ms)


def _whole(place: str, parameters: bool) -> Graph:
    check_is_store(place)
    address = read_address(place)
    if address.kind == SQLITE:
        try:
            graph = read_graph(address.path, parameters)
        except sqlite3.Error as error:
            raise DataError(
                f"Expected to read ML Metadata in {address.path}, received {first_line(error)} "
                "Try again once nothing writes to it."
            ) from error
        if graph is not None:
            return graph
    store: Any = open_store(place, StoreMode.READ)
    return load(store)
