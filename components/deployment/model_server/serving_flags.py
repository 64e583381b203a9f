"""The flags of tensorflow_model_server that scripts for it give, beside those of `flags.py`.

Every one is taken, so that this server starts where a script starts the other; one that asks for
something else than what happens here says so once, in the log.
"""

import argparse
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from tfx_loop.presentation import arguments

_LOG = logging.getLogger(__name__)
# Started by this name, a port of 0 has TF Serving's meaning: that interface is off.
TF_SERVING_PROGRAM = "tensorflow_model_server"


@dataclass(frozen=True)
class _Idle:
    """A flag without effect here.

    Attributes:
        default: What TF Serving does without it, as text.
        why: What happens here instead.
    """

    default: str
    why: str


# From main.cc of TF Serving.
IDLE = {
    "enable_batching": _Idle("false", "requests that wait are run together anyway"),
    "batching_parameters_file": _Idle("", "requests that wait are run together anyway"),
    "enable_per_model_batching_parameters": _Idle("false", "batches have no parameters"),
    "num_load_threads": _Idle("0", "versions are loaded one after the other"),
    "num_unload_threads": _Idle("0", "a version goes when its last request ends"),
    "flush_filesystem_caches": _Idle("true", "the system's caches are left alone"),
    "tensorflow_session_config_file": _Idle("", "sessions have TensorFlow's own settings"),
    "platform_config_file": _Idle("", "SavedModels and TFLite files are served, nothing else"),
    "per_process_gpu_memory_fraction": _Idle("0", "models run on the CPU"),
    "remove_unused_fields_from_bundle_metagraph": _Idle("true", "metadata is kept whole"),
    "num_tflite_interpreters_per_pool": _Idle("0", "a TFLite model has one interpreter"),
    "num_tflite_pools": _Idle("1", "a TFLite model has one interpreter"),
    "xla_cpu_compilation_enabled": _Idle("false", "graphs run as they are"),
    "xla_gpu_compilation_enabled": _Idle("false", "graphs run as they are"),
    "enable_profiler": _Idle("true", "there is no profiler service"),
    "thread_pool_factory_config_file": _Idle("", "TensorFlow has its own threads"),
    "mixed_precision": _Idle("", "models compute as they were saved"),
    "skip_initialize_tpu": _Idle("false", "models run on the CPU"),
    "allow_version_labels_for_unavailable_models": _Idle(
        "false", "labels of a configuration file wait for their versions anyway"
    ),
    "rest_api_num_threads": _Idle("", "connections need no threads"),
    "grpc_channel_arguments": _Idle("", "gRPC's channels are made here"),
    "use_saved_model": _Idle("true", "SavedModels are served anyway"),
}


def add_serving_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of TF Serving that have an effect here, and those that have none."""
    add = parser.add_argument
    add("--grpc_socket_path", metavar="PATH", help="gRPC listens at this Unix socket, too")
    add(
        "--ssl_config_file",
        metavar="PATH",
        help="SSLConfig as text: gRPC speaks TLS; with custom_ca and client_verify mutual TLS",
    )
    add(
        "--monitoring_config_file",
        metavar="PATH",
        help="MonitoringConfig as text: serves TF Serving's Prometheus metrics, by default at "
        "/monitoring/prometheus/metrics",
    )
    add(
        "--rest_api_timeout_in_ms",
        type=arguments.whole_number,
        # TF Serving's own default, as are those of the flags below.
        default=30_000,
        metavar="MS",
        help="a prediction over REST that takes longer is answered with 504; 0 and less set no "
        "limit (default: 30000)",
    )
    add("--grpc_max_threads", type=arguments.whole_at_least(1), metavar="N", help="as --threads")
    add(
        "--saved_model_tags",
        default="serve",
        help="tags of the graph to load; only serve is known (default: serve)",
    )
    add(
        "--num_request_iterations_for_warmup",
        type=arguments.whole_at_least(1),
        default=1,
        metavar="N",
        help="times that each warm-up request is run (default: 1)",
    )
    for name, metavar in (
        ("tensorflow_session_parallelism", "N"),
        ("tensorflow_intra_op_parallelism", "N"),
        ("tensorflow_inter_op_parallelism", "N"),
    ):
        add(
            f"--{name}",
            type=arguments.whole_at_least(0),
            default=0,
            metavar=metavar,
            help="threads of TensorFlow; 0 leaves it to TensorFlow (default: 0)",
        )
    _switch(
        parser,
        "enable_model_warmup",
        True,
        "run the requests of assets.extra/tf_serving_warmup_requests before a version serves",
    )
    _switch(
        parser,
        "enable_signature_method_name_check",
        False,
        "Classify and Regress take only signatures that were made for them",
    )
    _switch(
        parser, "enable_grpc_healthcheck_service", False, "answer grpc.health.v1.Health over gRPC"
    )
    _switch(
        parser,
        "enable_serialization_as_tensor_content",
        False,
        "gRPC answers carry tensors as bytes, not as lists of numbers",
    )
    _switch(parser, "rest_api_enable_cors_support", False, "let web pages of any origin call REST")
    _switch(parser, "use_alts_credentials", False, "refused: ALTS is for Google Cloud")
    add("--version", nargs="?", const=True, type=truth, default=False, help="show the version")
    for name in IDLE:
        add(f"--{name}", nargs="?", const="true", help=argparse.SUPPRESS)


def wrong_serving_flags(flags: argparse.Namespace, tls_certificate: str | None) -> str:
    """Returns what is wrong with the flags of TF Serving; empty where nothing is."""
    if flags.use_alts_credentials:
        # Serving in the clear what was meant to be encrypted is no way of having no effect.
        return "--use_alts_credentials is not available: give --tls_certificate and --tls_key"
    if flags.ssl_config_file and tls_certificate:
        return "--ssl_config_file and --tls_certificate both say how to encrypt: give one"
    return ""


def tell_idle_flags(flags: argparse.Namespace, tell: Callable[[str], None]) -> None:
    """Tells once of each flag that was given and changes nothing here."""
    for name, idle in IDLE.items():
        given = getattr(flags, name)
        if given is not None and given.lower() != idle.default:
            tell(f"flag --{name}={given} has no effect: {idle.why}")
    if flags.saved_model_tags != "serve":
        tell(f"flag --saved_model_tags={flags.saved_model_tags} has no effect: serve is loaded")


def is_tf_serving(program: str) -> bool:
    """Says whether the server was started by TF Serving's name."""
    return os.path.basename(program).startswith(TF_SERVING_PROGRAM)


def truth(text: str) -> bool:
    """Returns true or false; raises argparse's error for other texts."""
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"expected true or false, received {text!r}")
    return known[text.lower()]


def _switch(parser: argparse.ArgumentParser, name: str, default: bool, text: str) -> None:
    shown = str(default).lower()
    parser.add_argument(
        f"--{name}",
        nargs="?",
        const=True,
        type=truth,
        default=default,
        metavar="BOOL",
        help=f"{text} (default: {shown})",
    )
