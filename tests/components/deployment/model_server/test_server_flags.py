"""Flags of the server: what is accepted, and what is told of the rest."""

import socket

import pytest

from tfx_loop.deployment.model_server.flags import parse_flags
from tfx_loop.deployment.server_access.listeners import listen


def test_defaults_are_those_of_tf_serving_where_it_has_them():
    flags = parse_flags(["--model_base_path=x"])
    assert (flags.model_name, flags.port, flags.file_system_poll_wait_seconds) == (
        "default",
        8500,
        1.0,
    )
    assert flags.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--port=70000"], "expected a port"),
        (["--port=x"], "expected a whole number"),
        (["--port=-1", "--rest_api_port=-1"], "both servers are disabled"),
        (["--file_system_poll_wait_seconds=-1"], "expected 0 to"),
        (["--file_system_poll_wait_seconds=nan"], "expected 0 to"),
        (["--max_request_bytes=0"], "expected a whole number above 0"),
        (["--max_num_load_retries=-1"], "expected a whole number of at least 0"),
        (["--model_name=a/b"], "model name"),
        (["--prefer_tflite_model=maybe"], "expected true or false"),
        (["--model=x"], "unrecognized arguments"),
    ],
)
def test_wrong_flags_end_with_one_line(capsys, wrong, message):
    with pytest.raises(SystemExit) as caught:
        parse_flags(["--model_base_path=x", *wrong])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "prefers"),
    [
        ([], False),
        (["--prefer_tflite_model"], True),
        (["--prefer_tflite_model=true"], True),
        (["--prefer_tflite_model=false"], False),
    ],
)
def test_tflite_is_preferred_when_asked_for_as_in_tf_serving(given, prefers):
    assert parse_flags(["--model_base_path=x", *given]).prefer_tflite_model is prefers


def test_answers_are_not_held_back_by_nagle():
    """Asyncio sets TCP_NODELAY only on sockets that name their protocol: 40 ms an answer."""
    listener = listen("127.0.0.1", 0, "--port")
    assert listener is not None
    with listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_disabled_port_is_not_listened_at():
    assert listen("127.0.0.1", -1, "--port") is None
