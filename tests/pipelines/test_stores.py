"""Stores of each kind: opened, refused in a line, and whole numbers that need 64 bits kept."""

import pytest
from mariadb import new_database
from recorder import RecordedNode, RecordedOutput, RecordedRun

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.control.store_address import read_address
from tfx_loop.pipelines.control.stores import StoreMode, connection_config, open_store

NOW_MS = 1_800_000_000_123


@pytest.mark.parametrize(
    ("text", "kind", "host", "port", "user", "database"),
    [
        ("mysql://loop@db:3307/lineage", "mysql", "db", 3307, "loop", "lineage"),
        ("mariadb://db/lineage", "mysql", "db", 3306, "", "lineage"),
        ("postgresql://a%40b@[::1]/x-y", "postgresql", "::1", 5432, "a@b", "x-y"),
        ("postgres://u@h:1/d?ssl_ca=/ca.pem", "postgresql", "h", 1, "u", "d"),
    ],
)
def test_address_of_a_server_is_read(text, kind, host, port, user, database) -> None:
    found = read_address(text)
    assert (found.kind, found.host, found.port) == (kind, host, port)
    assert (found.user, found.database) == (user, database)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mysql://",
        "mysql://host",
        "mysql://host/a/b",
        "postgresql://host:port/a",
        "oracle://host/a",
        "mysql://host/a?passwrod_file=x",
        "postgresql://host/a?socket=/s",
    ],
)
def test_address_that_is_none_is_refused(text) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        read_address(text)


def test_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="password_file") as refusal:
        read_address("mysql://loop:s3cret@db/lineage")
    assert "s3cret" not in str(refusal.value)


def test_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch) -> None:
    file = tmp_path / "password"
    file.write_text("from file\n")
    place = "postgresql://u@h/d"
    monkeypatch.setenv("TFX_LOOP_METADATA_PASSWORD", "from environment")
    assert connection_config(place).postgresql.password == "from environment"
    named = connection_config(f"{place}?password_file={file}")
    assert named.postgresql.password == "from file"
    with pytest.raises(ConfigError, match="No such file"):
        connection_config(f"{place}?password_file={file}.gone")


def test_server_is_verified_where_certificates_are_named() -> None:
    found = connection_config("postgresql://u@h/d?ssl_ca=/ca.pem").postgresql.ssloption
    assert (found.sslmode, found.sslrootcert) == ("verify-full", "/ca.pem")
    options = connection_config("mysql://u@h/d?ssl_ca=/ca.pem").mysql.ssl_options
    assert (options.ca, options.verify_server_cert) == ("/ca.pem", True)


def test_server_that_is_away_is_told_in_a_line(capsys) -> None:
    assert main.main(["timeline", "--metadata", "postgresql://u@127.0.0.1:1/lineage"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("loop: Expected a database server at 127.0.0.1:1, received")


@pytest.mark.slow
def test_wrong_database_and_user_are_refused_and_no_database_is_made(mysql, postgres) -> None:
    host = mysql.removeprefix("mysql://")
    for place in (
        f"mysql://root@{host}/nobody_made_this",
        f"mysql://stranger@{host}/nobody_made_this",
        postgres.replace("://", "://postgres@") + "/nobody_made_this",
    ):
        for _ in range(2):
            with pytest.raises(DataError, match="Check that the database is there"):
                open_store(place, StoreMode.WRITE)
    new_database(mysql, "nobody_made_this")


@pytest.mark.slow
def test_every_kind_of_store_tells_the_same_story(new_store, tmp_path, capsys) -> None:
    store = open_store(new_store, StoreMode.CREATE)
    pushed = {
        "pushed_version": 7,
        "pushed_destination": "/serving/flights/7",
        "pushed_at_ms": NOW_MS,
        "model_name": "flights",
    }
    RecordedRun(store, "training", "run-1", tmp_path / "t").run(
        [
            RecordedNode("SpanExampleGen", outputs={"examples": RecordedOutput("Examples")}),
            RecordedNode(
                "Trainer",
                inputs={"examples": "SpanExampleGen.examples"},
                outputs={"model": RecordedOutput("Model", {"size_bytes": 3 * 2**31})},
            ),
            RecordedNode(
                "ServingPusher",
                inputs={"model": "Trainer.model"},
                outputs={"pushed_model": RecordedOutput("PushedModel", pushed)},
            ),
        ]
    )
    assert main.main(["explain", "7", "--metadata", new_store]) == 0
    told = capsys.readouterr().out
    assert "2027-01-15T08:00:00Z to /serving/flights/7" in told
    assert f"{tmp_path}/t/SpanExampleGen/examples" in told
