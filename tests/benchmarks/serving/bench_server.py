"""Measures requests a second of the embedded model server, with and without its log.

    .venv/bin/python -m tests.benchmarks.serving.bench_server [--seconds 3]

Client and server share this machine's cores, so the numbers say how the ways compare.
"""

import argparse
import http.client
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from tests.helpers.server_process import ServerProcess

PREDICT = "/v1/models/flights:predict"


def columns_of(rows: int) -> dict[str, list]:
    """Returns a batch for the tiny model."""
    return {"hour": [7] * rows, "delay": [1.5] * rows, "origin": ["JFK"] * rows}


def ask_rest(port: int, rows: int) -> Callable[[], None]:
    """Returns what asks once, over one kept connection."""
    body = json.dumps({"signature_name": "serving_columns", "inputs": columns_of(rows)}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask() -> None:
        connection.request("POST", PREDICT, body)
        response = connection.getresponse()
        response.read()
        assert response.status == 200

    return ask


def ask_grpc(port: int, rows: int) -> Callable[[], None]:
    """Returns what asks once, over one channel."""
    import grpc
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "flights"
    request.model_spec.signature_name = "serving_columns"
    columns = columns_of(rows)
    for name, field, kind in (
        ("hour", "int64_val", types_pb2.DT_INT64),
        ("delay", "float_val", types_pb2.DT_FLOAT),
        ("origin", "string_val", types_pb2.DT_STRING),
    ):
        tensor = request.inputs[name]
        tensor.dtype = kind
        tensor.tensor_shape.dim.add().size = rows
        values = [v.encode() for v in columns[name]] if name == "origin" else columns[name]
        getattr(tensor, field).extend(values)
    return lambda: stub.Predict(request, timeout=30)


def _client(make, port: int, rows: int, seconds: float, ready, answers) -> None:
    ask = make(port, rows)
    for _ in range(20):
        ask()
    ready.wait(120)
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        ask()
        count += 1
    answers.put(count)


def measure(make, port: int, rows: int, clients: int, seconds: float) -> float:
    """Returns answers a second of some client processes together."""
    context = multiprocessing.get_context("spawn")
    answers, ready = context.Queue(), context.Barrier(clients)
    arguments = (make, port, rows, seconds, ready, answers)
    processes = [context.Process(target=_client, args=arguments) for _ in range(clients)]
    for process in processes:
        process.start()
    total = sum(answers.get(timeout=seconds + 180) for _ in processes)
    for process in processes:
        process.join()
    return total / seconds


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="time a measurement takes")
    seconds = parser.parse_args().seconds
    from tests.helpers.tiny_serving_model import save_tiny_model

    print("| asked by | rows a request | clients | log | requests/s | rows/s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        save_tiny_model(Path(scratch) / "base" / "1")
        for log in (None, Path(scratch) / "log"):
            server = ServerProcess(Path(scratch) / "base", Path(scratch), log).start()
            for name, ask, port in (
                ("REST", ask_rest, server.rest_port),
                ("gRPC", ask_grpc, server.grpc_port),
            ):
                for rows, clients in ((1, 1), (1, 4), (32, 1), (32, 4)):
                    rate = measure(ask, port, rows, clients, seconds)
                    shown = "yes" if log else "no"
                    row = f"| {name} | {rows} | {clients} | {shown} "
                    print(f"{row}| {rate:,.0f} | {rate * rows:,.0f} |", flush=True)
            server.stop()


if __name__ == "__main__":
    main()
