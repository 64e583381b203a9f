"""Tokens, roles and rates, without a server."""

import pytest

from tfx_loop.core.errors import ConfigError
from tfx_loop.deployment.model_server.flags import parse_flags
from tfx_loop.deployment.server_access.access import (
    Access,
    AccessRefused,
    RateLimit,
    Refusal,
    TokenFile,
    read_tokens,
)
from tfx_loop.deployment.server_access.credentials import Credentials


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def files(tmp_path):
    (tmp_path / "tokens").write_text("# callers\nshop s3cret-of-shop\ns3cret-without-name\n")
    (tmp_path / "admins").write_text("ops s3cret-of-ops\n")
    return tmp_path


def access(files, clock, **changes):
    return Access(
        clock=clock,
        token_file=str(files / "tokens"),
        admin_token_file=str(files / "admins"),
        **changes,
    )


def refusal(call, *arguments, **named):
    with pytest.raises(AccessRefused) as caught:
        call(*arguments, **named)
    assert "s3cret" not in str(caught.value)
    return caught.value.refusal


def test_a_caller_is_known_by_the_token_alone(files, clock):
    asked = access(files, clock)
    assert asked.authenticate("Bearer s3cret-of-shop", "10.0.0.1") == "shop"
    assert asked.authenticate("bearer s3cret-without-name", "10.0.0.1") == "line-3"
    assert asked.authenticate("Bearer s3cret-of-ops", "10.0.0.1") == "admin ops"
    for wrong in (
        "", "s3cret-of-shop", "Bearer ", "Bearer shop", "Bearer s3cret-of-sho",
        "Bearer s3cret-of-shops", "Basic s3cret-of-shop", "Bearer shop s3cret-of-shop",
        "Bearer s3cret-of-shöp",
    ):  # fmt: skip
        assert refusal(asked.authenticate, wrong, "10.0.0.1") is Refusal.UNAUTHENTICATED, wrong


def test_admin_calls_are_open_where_that_is_said_and_there_are_no_tokens(files, clock):
    opened = Access(clock=clock, open_to_admins=True)
    assert opened.authenticate("", "127.0.0.1", admin=True) == "127.0.0.1"
    guarded = Access(clock=clock, token_file=str(files / "tokens"), open_to_admins=True)
    assert refusal(guarded.authenticate, "", "127.0.0.1", admin=True) is Refusal.UNAUTHENTICATED
    alone = Access(clock=clock, admin_token_file=str(files / "admins"), open_to_admins=True)
    assert refusal(alone.authenticate, "", "127.0.0.1", admin=True) is Refusal.FORBIDDEN


def test_admin_calls_take_an_admin_token(files, clock):
    asked = access(files, clock)
    assert asked.authenticate("Bearer s3cret-of-ops", "", admin=True)
    assert refusal(asked.authenticate, "Bearer s3cret-of-shop", "", admin=True) is Refusal.FORBIDDEN
    assert refusal(asked.authenticate, "", "", admin=True) is Refusal.UNAUTHENTICATED
    nobody = Access(clock=clock)
    assert nobody.authenticate("", "127.0.0.1") == "127.0.0.1"
    assert refusal(nobody.authenticate, "", "127.0.0.1", admin=True) is Refusal.FORBIDDEN


def test_a_caller_has_a_rate_of_its_own(files, clock):
    asked = access(files, clock, requests_per_second=2)
    asked.count("shop")
    asked.count("shop")
    assert refusal(asked.count, "shop") is Refusal.TOO_MANY
    asked.count("ops")
    clock.now = 0.5
    asked.count("shop")
    assert refusal(asked.count, "shop") is Refusal.TOO_MANY
    clock.now = 100.0
    asked.count("shop")
    asked.count("shop")
    assert refusal(asked.count, "shop") is Refusal.TOO_MANY


def test_a_slow_rate_lets_one_call_through_at_a_time(clock):
    limit = RateLimit(0.1, clock)
    assert limit.take("a") == 0
    assert limit.take("a") == pytest.approx(10)
    clock.now = 10.0
    assert limit.take("a") == 0


def test_callers_without_end_take_no_memory_without_end(clock):
    limit = RateLimit(1, clock)
    for number in range(20_000):
        limit.take(str(number))
    assert len(limit._buckets) == 10_000


def test_a_replaced_token_file_is_taken_over_and_a_broken_one_is_not(files, clock, caplog):
    tokens = TokenFile(files / "tokens", clock)
    (files / "tokens").write_text("shop s3cret-of-tomorrow\n")
    clock.now = 2.0
    assert tokens.name_of("s3cret-of-tomorrow") == "shop"
    assert tokens.name_of("s3cret-of-shop") is None
    (files / "tokens").write_text("")
    clock.now = 4.0
    assert tokens.name_of("s3cret-of-tomorrow") == "shop"
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "content", ["", "# none\n", "a s3cret b\n", "a s3cret\na s3cret2\n", "a s3crét\n", "a\xff"]
)
def test_a_file_of_tokens_that_is_none_is_refused_without_showing_it(tmp_path, content):
    (tmp_path / "tokens").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_tokens(tmp_path / "tokens")
    assert "s3cr" not in str(caught.value)
    with pytest.raises(ConfigError, match="No such file"):
        read_tokens(tmp_path / "absent")


TLS = ["--tls_certificate=c", "--tls_key=k"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "server.example"])
@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ([], "--tls_certificate and --tls_key; --token_file or --tls_client_ca"),
        (["--token_file=t"], "give --tls_certificate and --tls_key"),
        (TLS, "--token_file or --tls_client_ca"),
        ([*TLS, "--token_file=t", "--requests_per_second=0"], "--requests_per_second above 0"),
    ],
)
def test_other_machines_are_served_with_all_guards_or_said_insecure(capsys, host, given, missing):
    flags = ["--model_base_path=x", f"--host={host}", *given]
    with pytest.raises(SystemExit):
        parse_flags(flags)
    shown = capsys.readouterr().err
    assert missing in shown
    assert shown.count("\n") == 1
    assert parse_flags([*flags, "--insecure"]).host == host


def test_guards_are_off_on_loopback_and_on_elsewhere():
    for host in ("127.0.0.1", "::1", "localhost"):
        assert parse_flags(["--model_base_path=x", f"--host={host}"]).requests_per_second == 0
    for who in ("--token_file=t", "--tls_client_ca=a"):
        flags = parse_flags(["--model_base_path=x", "--host=0.0.0.0", *TLS, who])
        assert flags.requests_per_second == 1000


@pytest.mark.parametrize("wrong", [TLS[:1], TLS[1:], ["--tls_client_ca=a"]])
def test_half_of_tls_is_refused(capsys, wrong):
    with pytest.raises(SystemExit):
        parse_flags(["--model_base_path=x", *wrong])
    assert capsys.readouterr().err.count("\n") == 1


def test_a_client_sends_no_token_in_the_clear(files):
    credentials = Credentials(token_file=str(files / "tokens"))
    assert credentials.headers() == {"Authorization": "Bearer s3cret-of-shop"}
    credentials.check("http", "127.0.0.1")
    credentials.check("https", "server.example")
    with pytest.raises(ConfigError, match="https://"):
        credentials.check("http", "server.example")
    with pytest.raises(ConfigError, match="https://"):
        Credentials(ca_file="x").check("http", "127.0.0.1")
    with pytest.raises(ConfigError, match="one of them"):
        Credentials(certificate="x").check("https", "127.0.0.1")
    with pytest.raises(ConfigError, match="PEM"):
        Credentials(ca_file=str(files / "tokens")).context()
