"""Routes, paths and ModelSpecs of the gateway, without a process."""

import contextlib

import pytest
from example_counts import scaled
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.data.prediction_log.record import routing_position
from tfx_loop.deployment.gateway.flags import parse_flags
from tfx_loop.deployment.gateway.model_spec import read_model_spec, with_version
from tfx_loop.deployment.gateway.routes import Route, RoutingTable, target_of
from tfx_loop.deployment.server_access.http2_frames import (
    HeaderReader,
    Http2Error,
    encode_headers,
)

CANARY = Route(name="canary", changed=True, version=9)


@pytest.mark.parametrize(
    ("path", "model", "version", "label", "predicts"),
    [
        ("/v1/models/m:predict", "m", None, "", True),
        ("/v1/models/m/versions/12:classify?x=1", "m", 12, "", True),
        ("/V1/Models/m/labels/canary:Regress", "m", None, "canary", True),
        ("/v1/models/m/metadata", "m", None, "", False),
        ("/v1/models/m", "m", None, "", False),
        ("/v1/models/m/versions/x:predict", "", None, "", False),
        ("/other", "", None, "", False),
    ],
)
def test_paths_are_read_as_tf_serving_reads_them(path, model, version, label, predicts):
    target = target_of(path)
    assert (target.model, target.version, target.label) == (model, version, label)
    assert target.predicts is predicts


def test_a_path_keeps_its_method_and_query_where_the_version_changes():
    target = target_of("/v1/models/m/labels/a:predict?x=%20y")
    assert target.path(7, "") == "/v1/models/m/versions/7:predict?x=%20y"
    assert target.path(None, "b") == "/v1/models/m/labels/b:predict?x=%20y"
    assert target.path(None, "") == "/v1/models/m:predict?x=%20y"


@settings(max_examples=scaled(30))
@given(share=st.floats(0, 1), keys=st.lists(st.text(min_size=1), min_size=1))
def test_the_canary_s_share_is_exactly_what_hashes_below_it(share, keys):
    table = RoutingTable(canary=CANARY, canary_share=share)
    for key in keys:
        route = table.route("m", None, "", lambda key=key: key, draws=True)
        assert (route is CANARY) == (routing_position(key) < share)


def test_only_predictions_without_a_version_are_drawn_for_the_canary():
    table = RoutingTable(model="m", labels={"stable": 8}, canary=CANARY, canary_share=1.0)

    def version(model="m", number=None, label="", draws=True):
        route = table.route(model, number, label, lambda: "key", draws)
        return route.version if route.changed else "unchanged"

    assert version() == 9
    assert version(label="stable") == 8
    assert version(label="other") == version(number=3) == version(model="n") == "unchanged"
    assert version(draws=False) == "unchanged"
    with pytest.raises(ConfigError, match="share from 0 to 1"):
        RoutingTable(canary_share=1.5)


names = st.text(min_size=1, max_size=20)
specs = st.one_of(
    st.tuples(st.just("version"), st.integers(0, 2**62)),
    st.tuples(st.just("label"), names),
    st.just(("", None)),
)


@settings(max_examples=scaled(30))
@given(name=names, signature=names, asked=specs, other=specs, rest=st.binary(max_size=300))
def test_a_changed_model_spec_is_what_protobuf_reads_and_all_else_stays(
    name, signature, asked, other, rest
):
    from google.protobuf import wrappers_pb2

    def bytes_field(number, value):
        size, coded = len(value), bytearray()
        while size > 127:
            coded.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2]) + bytes([*coded, size]) + value

    def spec(kind, value):
        content = bytes_field(1, name.encode()) + bytes_field(3, signature.encode())
        if kind == "version":
            content += bytes_field(2, wrappers_pb2.Int64Value(value=value).SerializeToString())
        elif kind == "label":
            content += bytes_field(4, value.encode())
        return content

    before = bytes_field(2, rest)
    request = before + bytes_field(1, spec(*asked)) + before
    found = read_model_spec(request)
    assert found.name == name
    assert found.version == (asked[1] if asked[0] == "version" else None)
    assert found.label == (asked[1] if asked[0] == "label" else "")
    kind, value = other
    changed = with_version(
        request, found, value if kind == "version" else None, value if kind == "label" else ""
    )
    again = read_model_spec(changed)
    assert (again.name, again.content) == (name, found.content)
    assert again.version == (value if kind == "version" else None)
    assert again.label == (value if kind == "label" else "")
    assert changed.startswith(before)
    assert changed.endswith(before)


@settings(max_examples=scaled(30))
@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_a_data_error(content):
    with contextlib.suppress(DataError):
        read_model_spec(content)


text = st.binary(min_size=1, max_size=200)


@settings(max_examples=scaled(30))
@given(st.lists(st.tuples(text, text), max_size=12))
def test_headers_that_are_written_are_read_by_hpack(headers):
    reader = HeaderReader()
    assert reader.read(encode_headers(tuple(headers))) == tuple(headers)


def test_blocks_are_read_by_the_table_as_it_is_then():
    import hpack

    encoder, reader = hpack.Encoder(), HeaderReader()
    for n in range(400):
        # 80 values fall out of a table of 4096 bytes and come back, some blocks repeat at once.
        headers = ((b"x-long", b"%d" % (n // 2 % 90) * 20), (b"same", b"always"))
        assert reader.read(encoder.encode(headers)) == headers
    with pytest.raises(Http2Error):
        reader.read(b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--upstream"),
        (["--upstream=h:x"], "HOST:PORT"),
        (["--upstream=h", "--canary_share=0.1"], "--canary_share has no canary: give one of"),
        (["--upstream=h", "--canary_version=3"], "names a canary without a share"),
        (["--upstream=h", f"--raw_log={__file__}"], "expected a folder, received the file"),
        (
            ["--upstream=h", "--canary_version=3", "--canary_label=c", "--canary_share=0.1"],
            "give one of --canary_version, --canary_label",
        ),
        (["--upstream=h", "--canary_version=3", "--canary_share=2"], "share from 0 to 1"),
        (["--upstream=h", "--model_base_path=d"], "give --model_name"),
        (["--upstream=h", "--host=0.0.0.0"], "lets other machines call"),
        (["--upstream=h", "--raw_log_key=k"], "give --raw_log"),
        (["--upstream=h", "--port=-1", "--rest_api_port=-1"], "both servers are disabled"),
    ],
)
def test_wrong_flags_are_told_in_one_line(words, told, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_flags(words)
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert told in error
    assert error.count("\n") == 1


def test_ports_of_an_upstream_are_tf_serving_s_where_none_are_given():
    flags = parse_flags(["--upstream=[::1]", "--canary_upstream=b:9000", "--canary_share=0.1"])
    assert (flags.upstream, flags.upstream_rest_port) == (("::1", 8500), 8501)
    assert (flags.canary_upstream, flags.canary_upstream_rest_port) == (("b", 9000), 9001)
