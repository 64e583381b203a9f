"""The program: its name, its flags, its messages."""

from typing import Any

from conformance_cases.case import Case, Contains
from conformance_cases.configuration import warmed
from conformance_cases.grpc_interface import asked, request
from conformance_cases.http_interface import other_server
from conformance_cases.server import World, until

FEATURE = "Program and flags"
# From main.cc, with a value that a script may give.
FLAGS = {
    "port": "8500", "grpc_socket_path": "/tmp/socket", "rest_api_port": "8501",
    "rest_api_num_threads": "4", "rest_api_timeout_in_ms": "30000",
    "rest_api_enable_cors_support": "true", "enable_batching": "true",
    "allow_version_labels_for_unavailable_models": "true", "batching_parameters_file": "/tmp/b",
    "model_config_file": "/tmp/c", "model_config_file_poll_wait_seconds": "1",
    "model_name": "m", "model_base_path": "/tmp/x", "num_load_threads": "1",
    "num_unload_threads": "1", "max_num_load_retries": "5",
    "load_retry_interval_micros": "60000000", "file_system_poll_wait_seconds": "1",
    "flush_filesystem_caches": "true", "tensorflow_session_parallelism": "2",
    "tensorflow_session_config_file": "/tmp/a", "tensorflow_intra_op_parallelism": "2",
    "tensorflow_inter_op_parallelism": "2", "use_alts_credentials": "false",
    "ssl_config_file": "/tmp/t", "platform_config_file": "/tmp/p",
    "per_process_gpu_memory_fraction": "0.5", "saved_model_tags": "serve",
    "grpc_channel_arguments": "grpc.max_concurrent_streams=100", "grpc_max_threads": "8",
    "enable_model_warmup": "true", "num_request_iterations_for_warmup": "1", "version": "false",
    "monitoring_config_file": "/tmp/m", "remove_unused_fields_from_bundle_metagraph": "true",
    "prefer_tflite_model": "true", "num_tflite_interpreters_per_pool": "1",
    "num_tflite_pools": "1", "enable_signature_method_name_check": "false",
    "xla_cpu_compilation_enabled": "false", "xla_gpu_compilation_enabled": "false",
    "enable_profiler": "true", "thread_pool_factory_config_file": "/tmp/t",
    "mixed_precision": "bfloat16", "skip_initialize_tpu": "false",
    "enable_grpc_healthcheck_service": "true", "enable_serialization_as_tensor_content": "false",
    "enable_per_model_batching_parameters": "false",
}  # fmt: skip


def _case(name: str, ask: Any, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, ask, wanted, differs)


def _takes(flag: str, value: str):
    def ask(world: World) -> object:
        from tfx_loop.deployment.model_server.flags import parse_flags

        base = [] if flag == "model_base_path" else ["--model_base_path=/tmp/x"]
        parse_flags([*base, f"--{flag}={value}"], "/usr/bin/tensorflow_model_server")
        return "taken"

    return ask


def _refused(*flags: str):
    def ask(world: World) -> object:
        import contextlib
        import io

        from tfx_loop.deployment.model_server.flags import parse_flags

        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                parse_flags(list(flags), "/usr/bin/tensorflow_model_server")
        except SystemExit as ended:
            return ended.code, said.getvalue()
        return 0, "taken"

    return ask


def _told_once(world: World) -> object:
    said = world.server.said()
    return said.count("--enable_batching"), said.count("--model_name")


def _as_bytes(world: World) -> object:
    import numpy as np

    channel = world.channel(f"127.0.0.1:{other_server(world).grpc_port}")
    made = request({"x": np.array([2.0], np.float32)})
    found = asked(
        channel, made, lambda answer: (answer.outputs["y"].tensor_content,
                                       list(answer.outputs["y"].float_val)),
    )  # fmt: skip
    channel.close()
    return found


def _checked_names(world: World) -> object:
    return other_server(world).rest(
        "POST", "/v1/models/default:regress",
        '{"signature_name": "regress_as_predict", "examples": [{"x": 1.0}]}',
    )  # fmt: skip


def _health_is_off(world: World) -> object:
    import grpc

    channel = world.channel(f"127.0.0.1:{other_server(world).grpc_port}")
    call = channel.unary_unary("/grpc.health.v1.Health/Check")
    try:
        return call(b"", timeout=60)
    except grpc.RpcError as error:
        return error.code().name
    finally:
        channel.close()


def _rest_is_off(world: World) -> object:
    from tfx_loop.deployment.model_server.flags import parse_flags

    flags = parse_flags(["--model_base_path=/tmp/x"], "/usr/bin/tensorflow_model_server")
    return flags.port, flags.rest_api_port


def _tls(world: World) -> object:
    """Returns what a client that knows the certificate is answered."""
    return warmed(world)["over_tls"]


def _listens(world: World) -> object:
    return until(lambda: "gRPC server ready" in world.server.said(), 5)


CASES = [
    *(_case(f"--{flag} is taken", _takes(flag, value), "taken") for flag, value in FLAGS.items()),
    _case("a flag without effect says so once", _told_once, (1, 0)),
    _case("an unknown flag is refused", _refused("--model_base_path=/tmp/x", "--nonsense=1"),
          (2, Contains("--nonsense"))),
    _case("without a model there is no start", _refused(), (2, Contains("--model_base_path"))),
    _case("--version is shown", _refused("--version"), (0, Contains("TensorFlow"))),
    _case("REST is off unless a port is given", _rest_is_off, (8500, -1)),
    _case("it says when it is ready", _listens, True),
    _case("--enable_serialization_as_tensor_content", _as_bytes,
          (b"\x00\x00\x40\x40", [])),
    _case("--enable_signature_method_name_check", _checked_names,
          (400, Contains("Expected regression signature method_name to be"))),
    _case("the health service is off unless it is asked for", _health_is_off, "UNIMPLEMENTED"),
    _case("--ssl_config_file", _tls, [3.0]),
]  # fmt: skip
