"""ML Metadata stores opened: SQLite, MySQL and MariaDB, PostgreSQL."""

import contextlib
import enum
import socket
import sqlite3
from pathlib import Path
from typing import Any

import ml_metadata
from ml_metadata.proto import metadata_store_pb2 as pb

from tfx_loop.core.errors import DataError, first_line
from tfx_loop.core.secret_text import secret_text
from tfx_loop.pipelines.config import metadata_password
from tfx_loop.pipelines.control.ledger import Store
from tfx_loop.pipelines.control.store_address import (
    MYSQL,
    SQLITE,
    StoreAddress,
    read_address,
)

# Some of the tables that each version of ML Metadata has.
_TABLES = {"Artifact", "Context", "Event", "Execution", "MLMDEnv", "Type"}
# How long a server may take to accept a connection before it is called away.
_CONNECT_SECONDS = 10.0


class StoreMode(enum.Enum):
    """What a store is opened for.

    READ and WRITE expect it to be there; CREATE makes it, as TFX's runners do.
    """

    READ = "read"
    WRITE = "write"
    CREATE = "create"


def open_store(place: str, mode: StoreMode) -> Store:
    """Opens a store.

    Args:
        place: Its address (`store_address`).
        mode: What for.

    Raises:
        ConfigError: The address is none.
        DataError: There is no store, or it cannot be opened.
    """
    address = read_address(place)
    if mode is not StoreMode.CREATE:
        check_is_store(place)
    config = connection_config(place, mode)
    try:
        return ml_metadata.MetadataStore(config)
    except (RuntimeError, ml_metadata.errors.StatusError) as error:
        said = first_line(error).removeprefix("Error when executing query: ")
        cause = said.split(" query:")[0].strip().rstrip(".")
        if address.kind == SQLITE:
            raise _no_store(address.shown, cause) from error
        raise _no_server(address, cause) from error


def connection_config(place: str, mode: StoreMode = StoreMode.CREATE) -> pb.ConnectionConfig:
    """Returns how ML Metadata connects to a store; TFX's pipelines take the same.

    Raises:
        ConfigError: The address is none, or its password file cannot be read.
    """
    address, config = read_address(place), pb.ConnectionConfig()
    if address.kind == SQLITE:
        modes = pb.SqliteMetadataSourceConfig
        config.sqlite.filename_uri = address.path
        config.sqlite.connection_mode = {
            StoreMode.READ: modes.READONLY,
            StoreMode.WRITE: modes.READWRITE,
            StoreMode.CREATE: modes.READWRITE_OPENCREATE,
        }[mode]
        return config
    server = config.mysql if address.kind == MYSQL else config.postgresql
    server.host, server.user = address.host, address.user
    server.password = _password(address)
    # A name that was mistyped must not become a database.
    server.skip_db_creation = mode is not StoreMode.CREATE
    authority = address.options.get("ssl_ca", "")
    if address.kind == MYSQL:
        server.port, server.database = address.port, address.database
        server.socket = address.options.get("socket", "")
        if authority:
            server.ssl_options.ca = authority
            # An authority without the check of the name would take any of its certificates for the
            # server's.
            server.ssl_options.verify_server_cert = True
    else:
        server.port, server.dbname = str(address.port), address.database
        if authority:
            server.ssloption.sslmode = "verify-full"
            server.ssloption.sslrootcert = authority
    return config


def check_is_store(place: str) -> None:
    """Raises DataError where a file is no store of ML Metadata; nothing is written to it.

    ML Metadata itself makes the tables that it misses, in somebody else's database, too. What a
    server holds is not looked at: only ML Metadata's own client is here.
    """
    address = read_address(place)
    if address.kind != SQLITE:
        return
    path = address.path
    if not Path(path).is_file():
        raise DataError(
            f"Expected the SQLite file of ML Metadata at {path}, found none. "
            "Run the loop first, or name the file with --metadata."
        )
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in found}
    except sqlite3.OperationalError as error:
        raise _no_store(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise _no_store(path, "a file that is no SQLite database") from error
    if not tables >= _TABLES:
        raise _no_store(path, "a database without the tables of ML Metadata")


def _password(address: StoreAddress) -> str:
    file = address.options.get("password_file", "")
    return secret_text(file, f"the password of {address.shown}") if file else metadata_password()


def _no_store(path: str, cause: str) -> DataError:
    return DataError(
        f"Expected a store of ML Metadata at {path}, received {cause}. "
        "Name the file that the pipelines write with --metadata."
    )


def _no_server(address: StoreAddress, cause: str) -> DataError:
    """Tells why a server was not reached: its client says little of that, and nothing of MySQL."""
    if address.options.get("socket"):
        return _refused(address, cause)
    try:
        socket.create_connection((address.host, address.port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return DataError(
            f"Expected a database server at {address.host}:{address.port}, received "
            f"{error.strerror or error}. Start it, or name another with --metadata."
        )
    return _refused(address, cause)


def _refused(address: StoreAddress, cause: str) -> DataError:
    told = cause.rpartition("error: ")[2].strip() or "a refusal"
    user = address.user or "the user of this process"
    return DataError(
        f"Expected {address.shown} to let {user} in, received {told}. Check that the database is "
        "there, and its user and password (?password_file=FILE or TFX_LOOP_METADATA_PASSWORD)."
    )


def describe(place: str) -> dict[str, Any]:
    """Returns kind and address of a store, for tables and JSON."""
    address = read_address(place)
    return {"kind": address.kind, "address": address.shown}
