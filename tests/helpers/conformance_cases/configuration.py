"""Model configuration: several models, policies, labels, and their change while it runs."""

import shutil
from pathlib import Path
from typing import Any

from conformance_cases.case import Case, Contains
from conformance_cases.server import RunningServer, World, until

FEATURE = "Configuration"
_BODY = '{"instances": [2.0]}'
_TWO, _THREE = (200, {"predictions": [3.0]}), (200, {"predictions": [4.0]})


def _ask(server: RunningServer, model: str, part: str = "") -> Any:
    return server.rest("POST", f"/v1/models/{model}{part}:predict", _BODY)


def _states(server: RunningServer, model: str) -> dict[str, str]:
    _, found = server.rest("GET", f"/v1/models/{model}")
    return {s["version"]: s["state"] for s in found.get("model_version_status", [])}


def _text(*configs: str) -> str:
    return "model_config_list {" + "".join(f" config {{ {c} }}" for c in configs) + " }"


def _model(name: str, base: Path, policy: str = "", labels: dict[str, int] | None = None) -> str:
    shown = f'name: "{name}" base_path: "{base}" model_platform: "tensorflow"'
    if policy:
        shown += f" model_version_policy {{ {policy} }}"
    for label, version in (labels or {}).items():
        shown += f' version_labels {{ key: "{label}" value: {version} }}'
    return shown


def _reload(server: RunningServer, text: str) -> object:
    import grpc
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
    try:
        answer = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(
            request, 60
        )
    except grpc.RpcError as error:
        return error.code().name, error.details()
    finally:
        channel.close()
    return "OK", answer.status.error_code


def _seen(world: World) -> dict[str, Any]:
    """Returns what was answered while the configuration changed."""
    base = world.scratch / "configured_base"
    for model in ("a", "b"):
        world.put("two", base / model, "1")
        world.put("three", base / model, "2")
        world.put("two", base / model, "3")
    file = world.scratch / "changing.config"
    file.write_text(
        _text(
            _model("a", base / "a", "latest { num_versions: 2 }"),
            _model("b", base / "b", "all {}", {"old": 1, "mid": 2}),
        )
    )
    server = world.start(
        "configured",
        f"--model_config_file={file}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models",
    ).wait()
    seen: dict[str, Any] = {
        "two_models": [_ask(server, "a"), _ask(server, "b")],
        "latest_two": _states(server, "a"),
        "all": _states(server, "b"),
        "one_of_all": _ask(server, "b", "/versions/2"),
        "labels": [_ask(server, "b", "/labels/old"), _ask(server, "b", "/labels/mid")],
    }
    file.write_text(
        _text(
            _model("a", base / "a", "specific { versions: 2 }"),
            _model("b", base / "b", "all {}", {"old": 2}),
        )
    )
    seen["polled"] = until(lambda: (found := _ask(server, "a")) == _THREE and found)
    seen["moved_label"] = until(
        lambda: (found := _ask(server, "b", "/labels/old")) == _THREE and found
    )
    seen["specific"] = until(lambda: (s := _states(server, "a")).get("3") == "END" and s)
    seen["others_by_number"] = _ask(server, "a", "/versions/3")[0]
    file.write_text("model_config_list { config {")
    until(lambda: "Invalid protobuf file" in server.said(), 10)
    seen["half_written"] = _ask(server, "a")
    seen["half_written_said"] = server.said().count("Invalid protobuf file")
    seen["added"] = _reload(
        server, _text(_model("a", base / "a"), _model("c", base / "b", "specific { versions: 2 }"))
    )
    seen["added_answers"] = _ask(server, "c")
    seen["removed"] = _ask(server, "b")[0]
    seen["unavailable_label"] = _reload(server, _text(_model("a", base / "a", labels={"x": 9})))
    seen["wrong_label"] = _ask(server, "a", "/labels/x")[0]
    seen["no_versions"] = _reload(server, _text(_model("z", base / "nothing")))
    seen["twice"] = _reload(server, _text(_model("a", base / "a"), _model("a", base / "b")))
    seen["platform"] = _reload(
        server, _text(f'name: "a" base_path: "{base}/a" model_platform: "other"')
    )
    seen["after_refusals"] = _reload(server, _text(_model("a", base / "a"))) and _ask(server, "a")
    other = base / "elsewhere"
    world.put("three", other, "1")
    seen["moved"] = (_reload(server, _text(_model("a", other))), _ask(server, "a"))
    _grow(world, other)
    seen["grown"] = until(lambda: (found := _ask(server, "a")) == _TWO and found)
    server.stop()
    return seen


def _grow(world: World, base: Path) -> None:
    world.put("two", base, "2")


def _saw(name: str, key: str, wanted: object, differs: str = "") -> Case:
    return Case(FEATURE, name, lambda world: world.once(_seen)[key], wanted, differs)


def _available(world: World, key: str) -> list[str]:
    states = world.once(_seen)[key]
    return sorted(version for version, state in states.items() if state == "AVAILABLE")


def _bad_start(text: str, *flags: str):
    def ask(world: World) -> object:
        file = world.scratch / f"bad{abs(hash(text))}.config"
        file.write_text(text)
        server = world.start(file.stem, f"--model_config_file={file}", *flags)
        return server.ended() != 0, server.said()

    return ask


def warmed(world: World) -> dict[str, Any]:
    """Returns what a server with warm-up files, and gRPC over TLS, answered."""
    return world.once(_warm)


def _warm(world: World) -> dict[str, Any]:
    """Returns what happens with warm-up files: a good one, a bad one, and none of them read."""
    base = world.scratch / "warm_base"
    world.put("two", base, "1")
    _write_warmup(base / "1", "serving_default")
    config, trusted = _ssl_config(world.scratch)
    server = world.start(
        "warm",
        f"--model_base_path={base}",
        "--max_num_load_retries=0",
        f"--ssl_config_file={config}",
    ).wait()
    seen: dict[str, Any] = {
        "good": _ask(server, "default"),
        "said": server.said(),
        "over_tls": _over_tls(server, trusted),
    }
    shutil.copytree(world.made / "three", base / ".coming")
    _write_warmup(base / ".coming", "no_such_signature")
    (base / ".coming").rename(base / "2")
    seen["bad"] = until(lambda: (s := _states(server, "default")).get("2") == "END" and s)
    seen["bad_serves"] = _ask(server, "default")
    shutil.copytree(world.made / "three", base / ".coming")
    (base / ".coming" / "assets.extra").mkdir()
    (base / ".coming" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"rubbish")
    (base / ".coming").rename(base / "3")
    seen["rubbish"] = until(lambda: _states(server, "default").get("3") == "END" and "END")
    server.stop()
    # Started without a base path, too: whether it listens then is a case of its own.
    later = world.scratch / "later_base"
    skipped = world.start(
        "unwarmed",
        f"--model_base_path={later}",
        "--enable_model_warmup=false",
        "--file_system_poll_wait_seconds=1",
    )
    seen["listens_without_base_path"] = until(skipped.listens, 60)
    shutil.copytree(base, later)
    seen["skipped"] = until(lambda: (found := _ask(skipped, "default"))[0] == 200 and found)
    skipped.stop()
    return seen


def _ssl_config(scratch: Path) -> tuple[Path, Path]:
    """Returns an SSLConfig for localhost, and the certificate of its authority."""
    from certificates import Authority

    authority = Authority(scratch / "authority")
    shown = authority.issue("server", "server")
    key, certificate = (
        path.read_text().replace("\n", "\\n") for path in (shown.key, shown.certificate)
    )
    config = scratch / "ssl.config"
    config.write_text(f'server_key: "{key}"\nserver_cert: "{certificate}"\n')
    return config, authority.certificate


def _over_tls(server: RunningServer, trusted: Path) -> object:
    import grpc
    import numpy as np

    from conformance_cases.grpc_interface import asked, request

    credentials = grpc.ssl_channel_credentials(trusted.read_bytes())
    channel = grpc.secure_channel(f"localhost:{server.grpc_port}", credentials)
    made = request({"x": np.array([2.0], np.float32)})
    found = asked(channel, made, lambda answer: list(answer.outputs["y"].float_val))
    channel.close()
    return found


def _write_warmup(folder: Path, signature: str) -> None:
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    from conformance_cases.examples import example
    from conformance_cases.grpc_interface import request

    log = prediction_log_pb2.PredictionLog()
    made = request({"x": np.array([1.0], np.float32)}, signature=signature)
    log.predict_log.request.CopyFrom(made)
    regress = prediction_log_pb2.PredictionLog()
    regress.regress_log.request.model_spec.signature_name = "regress_x_to_y"
    regress.regress_log.request.input.example_list.examples.add().CopyFrom(example(x=1.0))
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as writer:
        for record in (log, regress):
            writer.write(record.SerializeToString())


def _warmed(name: str, key: str, wanted: object) -> Case:
    return Case(FEATURE, name, lambda world: world.once(_warm)[key], wanted)


CASES = [
    _saw("several models", "two_models", [_TWO, _TWO]),
    Case(FEATURE, "the latest two versions",
         lambda world: _available(world, "latest_two"), ["2", "3"]),
    Case(FEATURE, "all versions", lambda world: _available(world, "all"), ["1", "2", "3"]),
    _saw("each version of all by its number", "one_of_all", _THREE),
    _saw("labels", "labels", [_TWO, _THREE]),
    _saw("a changed file is read", "polled", _THREE),
    _saw("a label moves", "moved_label", _THREE),
    Case(FEATURE, "specific versions alone",
         lambda world: _available(world, "specific"), ["2"]),
    _saw("versions that are not named end", "others_by_number", 404),
    _saw("a file that is half written changes nothing", "half_written", _THREE),
    _saw("it is told once", "half_written_said", 1),
    _saw("a call replaces the configuration", "added", ("OK", 0)),
    _saw("an added model answers when the call does", "added_answers", _THREE),
    _saw("a model that is not named is gone", "removed", 404),
    _saw("a label for a version that does not answer", "unavailable_label",
         ("FAILED_PRECONDITION", Contains("not currently available for inference"))),
    _saw("nor does it answer to that label", "wrong_label", 400),
    _saw("a model without versions", "no_versions",
         ("UNKNOWN", Contains("did not become available"))),
    _saw("a model named twice", "twice", ("INVALID_ARGUMENT", Contains("multiple times"))),
    _saw("another platform", "platform", ("INVALID_ARGUMENT", Contains("model_platform"))),
    _saw("what was refused changed nothing for good", "after_refusals", _TWO),
    _saw("a model moves to another base path", "moved", (("OK", 0), _THREE)),
    _saw("versions of the new base path are followed", "grown", _TWO),
    Case(FEATURE, "a file that is no configuration ends the start",
         _bad_start("improperly formatted file contents"),
         (True, Contains("Invalid protobuf file: '"))),
    Case(FEATURE, "a configuration without a list ends the start", _bad_start("# nothing"),
         (True, Contains("model_config_list"))),
    Case(FEATURE, "a model without a base path ends the start",
         _bad_start('model_config_list { config { name: "a" model_platform: "tensorflow" } }'),
         (True, Contains("base_path"))),
    _warmed("a version runs its warm-up requests", "good", _TWO),
    Case(FEATURE, "they are told", lambda world: "requests=2" in world.once(_warm)["said"], True),
    Case(FEATURE, "a warm-up request that fails, fails the load",
         lambda world: world.once(_warm)["bad"], {"1": "AVAILABLE", "2": "END"}),
    _warmed("the version before serves on", "bad_serves", _TWO),
    _warmed("a warm-up file that is damaged fails the load", "rubbish", "END"),
    _warmed("--enable_model_warmup=false runs none", "skipped", _THREE),
]  # fmt: skip
