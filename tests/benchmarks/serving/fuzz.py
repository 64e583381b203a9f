"""Requests that are none, or nearly one, against a running model server: no crash, no 5xx.

    PYTHONPATH=tests/helpers .venv/bin/python -m tests.benchmarks.serving.fuzz [--rest N] [--grpc N]

Bodies are mutated at bytes, or built of values that do not belong; messages of gRPC are of any
type and shape. Ends with 1 where the server died, answered 5xx for other reasons than overload, or
grew by more than 200 MiB behind the first tenth of the requests.
"""

import argparse
import collections
import http.client
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import psutil

from tests.helpers.server_process import ServerProcess
from tests.helpers.tiny_serving_model import save_tiny_model

PATHS = (
    *["/v1/models/flights:predict"] * 8,
    "/v1/models/flights/versions/1:predict",
    "/v1/models/flights:classify",
    "/v1/models/flights:regress",
    "/v1/models/flights/labels/x:predict",
    "/v1/models/%66lights:predict",
    "/v1/models/none:predict",
    "/",
)
VALUES = (
    None, True, 0, -1, 7, 1.5, 1e39, 2**63, 2**80, "", "JFK", "\u00fc\ud7ff", [], [[]], [1, [2]],
    {}, {"b64": "AAA="}, {"b64": "?"}, {"b64": 1}, [[1.0, 2.0]], {"hour": [1]}, "NaN",
)  # fmt: skip
OVERLOAD = {429, 503}
MAX_GROWTH_MB = 200


def random_body(draw: random.Random) -> bytes:
    """Returns a body that is a request, or nearly one."""
    columns = {"hour": [1, 20], "delay": [1.5, -3.0], "origin": ["JFK", "LGA"]}
    document: dict[str, object] = {"signature_name": "serving_columns", "inputs": columns}
    for _ in range(draw.randint(0, 3)):
        place = draw.choice([document, columns])
        key = draw.choice([*place, "instances", "signature_name", "extra"])
        place[key] = draw.choice(VALUES)
    body = bytearray(json.dumps(document).encode("utf-8", "surrogatepass"))
    for _ in range(draw.choice((0, 0, 1, 3, 10))):
        at = draw.randrange(len(body))
        body[at : at + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 2))
    return bytes(body)


def fuzz_rest(server: ServerProcess, count: int, draw: random.Random) -> collections.Counter[str]:
    """Returns the codes of so many requests."""
    codes: collections.Counter[str] = collections.Counter()
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
    for _ in range(count):
        method = draw.choice(("POST",) * 9 + ("GET", "HEAD", "PUT"))
        connection.request(method, draw.choice(PATHS), random_body(draw))
        response = connection.getresponse()
        response.read()
        codes[str(response.status)] += 1
    connection.close()
    return codes


def fuzz_grpc(server: ServerProcess, count: int, draw: random.Random) -> collections.Counter[str]:
    """Returns the codes of so many calls."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    codes: collections.Counter[str] = collections.Counter()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for _ in range(count):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = draw.choice(("flights", "flights", "flights", "", "other"))
            request.model_spec.signature_name = draw.choice(("serving_columns", "", "none"))
            for key in draw.sample(("hour", "delay", "origin", "other"), draw.randint(0, 4)):
                _fill(request.inputs[key], draw)
            try:
                stub.Predict(request, timeout=60)
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1
    return codes


def _fill(proto, draw: random.Random) -> None:
    proto.dtype = draw.choice((0, 1, 1, 2, 3, 4, 7, 7, 9, 9, 10, 14, 17, 19, 22, 23, 101))
    for _ in range(draw.randint(0, 3)):
        proto.tensor_shape.dim.add().size = draw.choice((0, 1, 2, 3, -1, 10**7, 2**31, 2**62))
    proto.tensor_shape.unknown_rank = draw.random() < 0.05
    for field, values in (
        ("float_val", [1.0, float("nan")]),
        ("int_val", [1, -7]),
        ("int64_val", [2**62]),
        ("string_val", [b"", b"\xff", b"JFK"]),
        ("bool_val", [True]),
    ):
        if draw.random() < 0.4:
            getattr(proto, field).extend(draw.choices(values, k=draw.randint(0, 3)))
    if draw.random() < 0.3:
        proto.tensor_content = draw.randbytes(draw.choice((0, 1, 4, 8, 16)))


def main() -> None:
    """Prints codes, time and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rest", type=int, default=100_000, help="requests over REST")
    parser.add_argument("--grpc", type=int, default=20_000, help="calls over gRPC")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw, failed = random.Random(args.seed), False
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        save_tiny_model(scratch / "base/1")
        server = ServerProcess(scratch / "base", scratch, scratch / "log").start()
        assert server.process is not None
        process = psutil.Process(server.process.pid)
        for kind, fuzz, count in (("REST", fuzz_rest, args.rest), ("gRPC", fuzz_grpc, args.grpc)):
            began = time.monotonic()
            codes = fuzz(server, count // 10, draw)
            before = process.memory_info().rss
            codes += fuzz(server, count - count // 10, draw)
            grown = (process.memory_info().rss - before) / 2**20
            bad = [c for c in codes if c.startswith("5") and int(c) not in {*OVERLOAD, 501}]
            bad += [c for c in codes if c in ("INTERNAL", "UNKNOWN", "UNAVAILABLE")]
            failed |= bool(bad) or grown > MAX_GROWTH_MB
            print(
                f"{kind}: {count:,} in {time.monotonic() - began:.0f} s, memory {grown:+.0f} MiB, "
                f"{dict(codes.most_common())}{' FAILED: ' + ', '.join(bad) if bad else ''}",
                flush=True,
            )
        failed |= server.stop() != 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
