"""A real server with TLS, mutual TLS, tokens and rates, asked over REST and gRPC."""

import http.client
import shutil
import ssl
import subprocess
import sys
from types import SimpleNamespace

import grpc
import pytest
from certificates import Authority
from server_process import ROOT, ServerProcess
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)
from time_limits import seconds
from tiny_serving_model import save_tiny_model

from tfx_loop.core.errors import ServerUnavailable, ServingError
from tfx_loop.deployment.server_access.credentials import Credentials

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

STATUS = "/v1/models/flights"
RELOAD = "/v1/models/flights:reload"
# So few that a test gets beyond them in a moment; each test has a caller of its own.
RATE = 10


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("guarded")
    authority = Authority(scratch / "ca")
    server, client = (authority.issue(kind, kind) for kind in ("server", "client"))
    (scratch / "tokens").write_text("shop tok-shop\nslow tok-slow\ngreedy tok-greedy\n")
    (scratch / "admins").write_text("ops tok-ops\n")
    save_tiny_model(scratch / "base" / "1")
    running = ServerProcess(
        scratch / "base",
        scratch,
        # Looked at when asked for alone.
        file_system_poll_wait_seconds="0",
        tls_certificate=server.certificate,
        tls_key=server.key,
        tls_client_ca=authority.certificate,
        token_file=scratch / "tokens",
        admin_token_file=scratch / "admins",
        requests_per_second=RATE,
    ).start()
    yield SimpleNamespace(server=running, authority=authority, client=client, scratch=scratch)
    assert running.stop() == 0
    assert "tok-" not in running.output.read_text()


def https(guarded, method, path, token, body=None):
    context = ssl.create_default_context(cafile=guarded.authority.certificate)
    context.load_cert_chain(guarded.client.certificate, guarded.client.key)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", guarded.server.rest_port, timeout=seconds(30), context=context
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def status_over_grpc(guarded, token, *, certificate=True, method="GetModelStatus"):
    read = (lambda path: path.read_bytes()) if certificate else (lambda path: None)
    credentials = grpc.ssl_channel_credentials(
        guarded.authority.certificate.read_bytes(),
        read(guarded.client.key),
        read(guarded.client.certificate),
    )
    with grpc.secure_channel(f"127.0.0.1:{guarded.server.grpc_port}", credentials) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        kind = {
            "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
            "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
        }[method]
        request = kind()
        if method == "GetModelStatus":
            request.model_spec.name = "flights"
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        try:
            getattr(stub, method)(request, metadata=metadata, timeout=seconds(10))
        except grpc.RpcError as error:
            return error.code().name
        return "OK"


def test_a_client_with_certificate_and_token_is_answered(guarded):
    credentials = Credentials(
        token_file=str(guarded.scratch / "tokens"),
        ca_file=str(guarded.authority.certificate),
        certificate=str(guarded.client.certificate),
        key=str(guarded.client.key),
    )
    client = guarded.server.client(credentials=credentials)
    assert [state.state for state in client.status()] == ["AVAILABLE"]
    assert client.predict(
        {"hour": [1], "delay": [1.5], "origin": ["JFK"]}, signature_name="serving_columns"
    )
    assert status_over_grpc(guarded, "tok-shop") == "OK"


def test_who_shows_no_certificate_gets_no_connection(guarded):
    without = Credentials(
        token_file=str(guarded.scratch / "tokens"), ca_file=str(guarded.authority.certificate)
    )
    with pytest.raises(ServerUnavailable):
        guarded.server.client(5, without).status()
    assert status_over_grpc(guarded, "tok-shop", certificate=False) == "UNAVAILABLE"


def test_a_server_of_another_authority_is_not_believed(guarded, tmp_path):
    other = Credentials(ca_file=str(Authority(tmp_path / "other").certificate))
    with pytest.raises(ServerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        guarded.server.client(5, other).status()


def test_who_has_no_token_is_refused_over_both_ports(guarded):
    for token in ("", "tok-sho", "shop"):
        answer = https(guarded, "POST", f"{STATUS}:predict", token, b"x" * 100_000)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert status_over_grpc(guarded, token) == "UNAUTHENTICATED"
    with pytest.raises(ServingError, match="401"):
        guarded.server.client(
            credentials=Credentials(
                ca_file=str(guarded.authority.certificate),
                certificate=str(guarded.client.certificate),
                key=str(guarded.client.key),
            )
        ).status()


def test_reload_is_for_admins(guarded):
    shutil.copytree(guarded.scratch / "base" / "1", guarded.scratch / "base" / "2")
    assert https(guarded, "POST", RELOAD, "tok-slow").status == 403
    assert status_over_grpc(guarded, "tok-slow", method="HandleReloadConfigRequest") == (
        "PERMISSION_DENIED"
    )
    assert https(guarded, "GET", f"{STATUS}/versions/2", "tok-slow").status == 404
    assert https(guarded, "POST", RELOAD, "tok-ops").status == 200
    assert https(guarded, "GET", f"{STATUS}/versions/2", "tok-ops").status == 200
    shutil.copytree(guarded.scratch / "base" / "1", guarded.scratch / "base" / "3")
    assert status_over_grpc(guarded, "tok-ops", method="HandleReloadConfigRequest") == "OK"
    assert https(guarded, "GET", f"{STATUS}/versions/3", "tok-ops").status == 200


def test_a_greedy_caller_is_held_back_and_others_are_not(guarded):
    credentials = Credentials(
        token_file=str(guarded.scratch / "greedy"),
        ca_file=str(guarded.authority.certificate),
        certificate=str(guarded.client.certificate),
        key=str(guarded.client.key),
    )
    (guarded.scratch / "greedy").write_text("tok-greedy")
    client = guarded.server.client(credentials=credentials)

    def call_often():
        for _ in range(100):
            client.status()

    with pytest.raises(ServingError, match="429"):
        call_often()
    assert status_over_grpc(guarded, "tok-greedy") in ("RESOURCE_EXHAUSTED", "OK")
    assert status_over_grpc(guarded, "tok-shop") == "OK"


def test_answers_carry_the_headers_of_an_api(guarded):
    for answer in (
        https(guarded, "GET", STATUS, "tok-shop"),
        https(guarded, "GET", "/absent", "tok-shop"),
        https(guarded, "GET", STATUS, ""),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["strict-transport-security"]
        assert answer.headers["server"] is None


def test_files_that_cannot_be_are_one_line(guarded, tmp_path):
    for flags in (
        [f"--tls_certificate={tmp_path}/absent", f"--tls_key={guarded.client.key}"],
        [
            f"--tls_certificate={guarded.client.certificate}",
            f"--tls_key={guarded.authority.folder}/server.key",
        ],
        [f"--token_file={tmp_path}/absent"],
    ):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tfx_loop.deployment.model_server.main",
                f"--model_base_path={tmp_path}",
                *flags,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds(60),
        )
        assert done.returncode == 1
        assert done.stderr.startswith("loop-model-server: error: Expected")
        assert done.stderr.count("\n") == 1
