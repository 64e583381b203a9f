"""Prometheus metrics under TF Serving's names."""

from typing import Any

from conformance_cases.case import Case, Contains
from conformance_cases.http_interface import other_server
from conformance_cases.server import World

FEATURE = "Monitoring"
_PATH = "/monitoring/prometheus/metrics"
_ONE = '{"instances": [1.0]}'


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


def _text(world: World) -> str:
    """Returns the metrics after requests that went right and wrong, over REST and gRPC."""
    import numpy as np

    from conformance_cases.examples import _regress
    from conformance_cases.grpc_interface import asked, request

    server = world.server
    server.rest("POST", "/v1/models/default:predict", _ONE)
    server.rest("POST", "/v1/models/default:predict", '{"instances": ["a"]}')
    _regress([{"x": 1.0}])(world)
    channel = world.channel()
    asked(channel, request({"x": np.array([1.0], np.float32)}), str)
    channel.close()
    return server.http("GET", _PATH)[1].decode()


def _has(text: str):
    return lambda world: world.once(_text)


def _metric(name: str, text: str) -> Case:
    return _case(name, _has(text), Contains(text))


def _at_another_path(world: World) -> object:
    server = other_server(world)
    return server.rest("GET", "/metrics")[0], server.rest("GET", _PATH)[0]


def _grows(world: World) -> object:
    def runs() -> float:
        text = world.server.http("GET", _PATH)[1].decode()
        (line,) = [ln for ln in text.splitlines() if ln.startswith(":tensorflow:core:graph_runs{")]
        return float(line.split()[-1])

    before = runs()
    world.server.rest("POST", "/v1/models/default:predict", _ONE)
    return runs() - before


def _type(world: World) -> object:
    code, _, headers = world.server.http("GET", _PATH)
    return code, headers["content-type"]


CASES = [
    _case("metrics are at TF Serving's path", _type, (200, Contains("text/plain"))),
    _metric("requests by model and status",
            ':tensorflow:serving:request_count{model_name="default",status="OK"}'),
    _metric("requests that failed",
            ':tensorflow:serving:request_count{model_name="default",status="INVALID_ARGUMENT"}'),
    _metric("their kind", "# TYPE :tensorflow:serving:request_count counter"),
    _metric("latency over REST", ':tensorflow:serving:request_latency_bucket{model_name="default",'
            'API="predict",entrypoint="REST",le="10"}'),
    _metric("latency over gRPC", ':tensorflow:serving:request_latency_count{model_name="default",'
            'API="Predict",entrypoint="GRPC"}'),
    _metric("latency of Regress", 'API="regress",entrypoint="REST",le="+Inf"}'),
    _metric("latency of models", ":tensorflow:serving:runtime_latency_sum{"),
    _metric("buckets grow by 1.8", 'le="32.4"'),
    _metric("examples of requests", ":tensorflow:serving:request_example_counts_bucket{"),
    _metric("attempts to load", ":tensorflow:cc:saved_model:load_attempt_count{model_path="),
    _metric("loads that succeeded", 'status="success"}'),
    _metric("time of loading", ":tensorflow:cc:saved_model:load_latency{model_path="),
    _metric("runs of graphs", ":tensorflow:core:graph_runs{}"),
    _metric("warm-up", "# TYPE :tensorflow:serving:model_warmup_latency histogram"),
    _case("each prediction is a run", _grows, 1.0),
    _case("another path", _at_another_path, (200, 404)),
]  # fmt: skip
