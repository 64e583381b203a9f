"""HTTP itself: bodies that are packed, methods, origins, sizes."""

import gzip
import json
from pathlib import Path
from typing import Any

from conformance_cases.case import Case, refused
from conformance_cases.server import RunningServer, World

FEATURE = "HTTP"
_PREDICT = "/v1/models/default:predict"
_ONE = b'{"instances":[[1.0]]}'


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


def _post(body: bytes, **headers: str):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda world: world.server.rest("POST", _PREDICT, body, sent)


def _chunked(world: World) -> object:
    # A body without a length is sent in chunks.
    return world.server.rest("POST", _PREDICT, iter([_ONE[:5], _ONE[5:]]))


def _head(world: World) -> object:
    code, content, _ = world.server.http("HEAD", "/v1/models/default")
    return code, content


def _kept(world: World) -> object:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", world.server.rest_port, timeout=60)
    codes = []
    for _ in range(3):
        connection.request("POST", _PREDICT, _ONE)
        response = connection.getresponse()
        response.read()
        codes.append(response.status)
    connection.close()
    return codes


def _large(world: World) -> object:
    body = json.dumps({"signature_name": "id_float32", "instances": [0.12345678] * 2_000_000})
    return world.server.rest("POST", "/v1/models/many:predict", body)[0]


def other_server(world: World) -> RunningServer:
    """Returns the server whose flags differ: origins, bytes in answers, names of methods."""
    return world.once(_other)


def other_log(world: World) -> Path:
    """Returns where that server logs its answers."""
    return world.scratch / "other_log"


def _other(world: World) -> RunningServer:
    base = world.scratch / "other_base"
    world.put("two", base, "122")
    monitoring = world.scratch / "other_monitoring.config"
    monitoring.write_text('prometheus_config { enable: true path: "/metrics" }')
    return world.start(
        "other",
        f"--prediction_log={other_log(world)}",
        f"--monitoring_config_file={monitoring}",
        f"--model_base_path={base}",
        "--rest_api_enable_cors_support",
        "--enable_serialization_as_tensor_content=true",
        "--enable_signature_method_name_check=true",
    ).wait()


def _preflight(world: World) -> object:
    code, _, headers = other_server(world).http(
        "OPTIONS", _PREDICT, headers={"Origin": "http://page.example"}
    )
    return code, headers.get("access-control-allow-origin")


def _origin(world: World) -> object:
    code, _, headers = other_server(world).http("POST", _PREDICT, _ONE)
    return code, headers.get("access-control-allow-origin")


def _no_origin(world: World) -> object:
    return world.server.http("POST", _PREDICT, _ONE)[2].get("access-control-allow-origin")


CASES = [
    _case("a gzip body", _post(gzip.compress(_ONE), Content_Encoding="gzip"),
          (200, {"predictions": [[3.5]]})),
    _case("a body that is no gzip", _post(_ONE, Content_Encoding="gzip"), refused(400)),
    _case("a body in chunks", _chunked, (200, {"predictions": [[3.5]]})),
    _case("the type of a body is ignored", _post(_ONE, Content_Type="text/plain"),
          (200, {"predictions": [[3.5]]})),
    _case("HEAD is malformed", _head, (400, b""),
          "HEAD of status and metadata is answered as GET is, without the body: probes ask so"),
    _case("a connection is kept", _kept, [200, 200, 200]),
    _case("OPTIONS is malformed without --rest_api_enable_cors_support",
          lambda world: world.server.rest("OPTIONS", _PREDICT),
          refused(400, "Malformed request: OPTIONS")),
    _case("no origin is allowed without it", _no_origin, None),
    _case("OPTIONS allows origins with it", _preflight, (200, "*")),
    _case("answers allow origins with it", _origin, (200, "*")),
    _case("a body of 20 MB", _large, 200,
          "bodies are bounded: `--max_request_bytes` (16 MiB) can be raised"),
]  # fmt: skip
