"""Messages that TF Serving's configuration and its health service use, and its package lacks.

Made from descriptions at run time: generated code cannot serve protobuf 3.20 and 6 at once.
"""

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tfx_loop.core.errors import ConfigError, first_line
from tfx_loop.deployment.server_access.tls import TlsFiles

# FieldDescriptorProto.Type; `label=1` below is LABEL_OPTIONAL (google/protobuf/descriptor.proto).
_STRING, _BOOL, _ENUM, _MESSAGE = 9, 8, 14, 11
_PACKAGE = "tfx_loop.serving"


def read_monitoring_config(path: str) -> Any:
    """Returns a MonitoringConfig; raises ConfigError for a file that is none."""
    return _read(path, "MonitoringConfig")


def ssl_context(path: str) -> ssl.SSLContext:
    """Returns what gRPC listens with, of an SSLConfig; raises ConfigError for a file that is none.

    Keys and certificates stand in it as text, PEM.
    """
    config = _read(path, "SSLConfig")
    if not config.server_key or not config.server_cert:
        raise ConfigError(f"Expected server_key and server_cert as PEM in {path}, received none.")
    # OpenSSL takes files alone; the folder is the owner's, and gone with the block.
    with tempfile.TemporaryDirectory(prefix="loop-tls-") as folder:
        files = {}
        for name in ("server_key", "server_cert", "custom_ca"):
            files[name] = Path(folder) / name
            files[name].write_text(getattr(config, name))
        return TlsFiles(
            certificate=str(files["server_cert"]),
            key=str(files["server_key"]),
            client_ca=str(files["custom_ca"]) if config.client_verify else "",
        ).context(["h2"])


def invalid_file(path: str, error: Exception) -> ConfigError:
    """Returns the error for a file that is no message as text, in the words of TF Serving."""
    return ConfigError(
        f"Invalid protobuf file: '{path}': expected a message as text, received {first_line(error)}"
    )


@cache
def message(name: str) -> Any:
    """Returns the class of a message."""
    from google.protobuf import message_factory

    descriptor = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
    # protobuf 4.22 and later; 3.20, of lane A, has the factory's method alone.
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory().GetPrototype(descriptor)


def _read(path: str, name: str) -> Any:
    from google.protobuf import text_format

    try:
        return text_format.Parse(Path(path).read_text("utf-8"), message(name)())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise invalid_file(path, error) from error


@cache
def _pool() -> Any:
    """Returns the descriptions of monitoring_config.proto, ssl_config.proto and health.proto."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(
        name="tfx_loop/serving.proto", package=_PACKAGE, syntax="proto3"
    )
    _add(file, "PrometheusConfig", ("enable", 1, _BOOL), ("path", 2, _STRING))
    _add(file, "MonitoringConfig", ("prometheus_config", 1, "PrometheusConfig"))
    _add(
        file,
        "SSLConfig",
        ("server_key", 1, _STRING),
        ("server_cert", 2, _STRING),
        ("custom_ca", 3, _STRING),
        ("client_verify", 4, _BOOL),
    )
    states = file.enum_type.add(name="ServingStatus")
    for number, state in enumerate(("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")):
        states.value.add(name=state, number=number)
    _add(file, "HealthCheckRequest", ("service", 1, _STRING))
    response = _add(file, "HealthCheckResponse")
    response.field.add(
        name="status", number=1, type=_ENUM, label=1, type_name=f".{_PACKAGE}.ServingStatus"
    )
    pool = descriptor_pool.DescriptorPool()
    # `Add` is gone from the C++ and upb pools of newer protobuf.
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return pool


def _add(file: Any, name: str, *fields: tuple[str, int, int | str]) -> Any:
    added = file.message_type.add(name=name)
    for field, number, kind in fields:
        if isinstance(kind, str):
            added.field.add(
                name=field, number=number, type=_MESSAGE, label=1, type_name=f".{_PACKAGE}.{kind}"
            )
        else:
            added.field.add(name=field, number=number, type=kind, label=1)
    return added
