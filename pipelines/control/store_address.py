"""Addresses of ML Metadata stores: an SQLite file, or a database of MySQL, MariaDB or PostgreSQL.

    out/demo/metadata.sqlite
    mysql://loop@db.example:3306/lineage?password_file=/run/secrets/lineage
    postgresql://loop@db.example/lineage?ssl_ca=/etc/ssl/db.pem

An address is printed in errors and stands in shells' histories, so it holds no password: that is in
a file that the address names, or in TFX_LOOP_METADATA_PASSWORD.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from tfx_loop.core.errors import ConfigError

SQLITE, MYSQL, POSTGRESQL = "sqlite", "mysql", "postgresql"
_SCHEMES = {"mysql": MYSQL, "mariadb": MYSQL, "postgresql": POSTGRESQL, "postgres": POSTGRESQL}
_PORTS = {MYSQL: 3306, POSTGRESQL: 5432}
_OPTIONS = {
    MYSQL: ("password_file", "ssl_ca", "socket"),
    POSTGRESQL: ("password_file", "ssl_ca"),
}
_EXPECTED = (
    "an SQLite file, mysql://USER@HOST:PORT/DATABASE or postgresql://USER@HOST:PORT/DATABASE"
)


@dataclass(frozen=True, kw_only=True)
class StoreAddress:
    """Where a store is.

    Attributes:
        kind: `sqlite`, `mysql` (MariaDB, too) or `postgresql`.
        path: The SQLite file; empty for a server.
        host: The server's name or address.
        port: Its port.
        user: Who connects; empty leaves it to the client library.
        database: The database's name.
        options: `password_file`; `ssl_ca`, certificates that vouch for the server, without which
            the connection need not be encrypted; `socket` of MySQL.
    """

    kind: str
    path: str = ""
    host: str = ""
    port: int = 0
    user: str = ""
    database: str = ""
    options: Mapping[str, str]

    @property
    def shown(self) -> str:
        """The address as messages show it."""
        return self.path or f"{self.kind}://{self.host}:{self.port}/{self.database}"


def is_server(text: str) -> bool:
    """Says whether an address names a database server, and no file."""
    return text.partition("://")[0].lower() in _SCHEMES and "://" in text


def read_address(text: str) -> StoreAddress:
    """Reads an address.

    Raises:
        ConfigError: It is none, or holds a password.
    """
    scheme, found, rest = text.partition("://")
    if not found or scheme in ("sqlite", "file"):
        path = rest if found else text
        if not path:
            raise ConfigError(f"Expected {_EXPECTED}, received an empty text. Name the store.")
        return StoreAddress(kind=SQLITE, path=path, options={})
    if not is_server(text):
        raise ConfigError(f"Expected {_EXPECTED}, received {scheme}://… Name one of these.")
    kind = _SCHEMES[scheme.lower()]
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS[kind]
    except ValueError as error:
        raise ConfigError(f"Expected {_EXPECTED}, received {scheme}://…: {error}.") from error
    if parts.password is not None:
        raise ConfigError(
            f"Expected {scheme}://USER@HOST/DATABASE without a password, received one with it, "
            "which processes' lists and logs would show. Put it into a file and add "
            "?password_file=FILE, or into TFX_LOOP_METADATA_PASSWORD."
        )
    database = unquote(parts.path.strip("/"))
    if not parts.hostname or not database or "/" in database:
        raise ConfigError(f"Expected {_EXPECTED}, received {text}. Name host and database.")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(_OPTIONS[kind])):
        raise ConfigError(
            f"Expected options of {scheme}:// among {', '.join(_OPTIONS[kind])}, "
            f"received {', '.join(unknown)}."
        )
    return StoreAddress(
        kind=kind,
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        database=database,
        options=options,
    )
