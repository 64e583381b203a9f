"""A server that encrypts its log: what is on the disk, and who reads it with the key."""

import json

import numpy as np
import pyarrow as pa
import pytest
from log_rows import words_in
from server_process import ServerProcess
from tiny_serving_model import save_tiny_model

from tfx_loop.contracts.drift_report import DRIFT_REPORT, DriftVerdict
from tfx_loop.core.artifacts import DriftReport, PredictionLog, ReferenceProfile
from tfx_loop.core.errors import ConfigError
from tfx_loop.core.key_file import read_keys
from tfx_loop.data.prediction_log.executor import Executor as PredictionLogGen
from tfx_loop.data.prediction_log.settings import PredictionLogGenSettings
from tfx_loop.data.span_example_gen.executor import write_examples
from tfx_loop.pipelines.cli.main import main

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]

ROWS = 600


def columns(seed, rows=ROWS):
    random = np.random.default_rng(seed)
    return {
        "hour": random.integers(0, 24, rows).tolist(),
        "delay": random.normal(size=rows).tolist(),
        "origin": random.choice(["JFK", "LGA"], rows).tolist(),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("server")
    save_tiny_model(scratch / "base" / "1")
    key = scratch / "log.key"
    running = ServerProcess(
        scratch / "base", scratch, scratch / "log", prediction_log_key=key
    ).start()
    yield running
    running.stop()


def artifact(kind, folder):
    made = kind()
    made.uri = str(folder)
    return made


def window(server, folder, key):
    """Returns what PredictionLogGen makes of the log."""
    made = artifact(PredictionLog, folder)
    settings = PredictionLogGenSettings(
        log_dir=str(server.log_dir),
        model_name="flights",
        window="w",
        start_ms=0,
        end_ms=10**14,
        log_key=str(key) if key else "",
    )
    PredictionLogGen().Do({}, {"prediction_log": [made]}, settings.to_properties())
    return made


def monitored(log, folder):
    """Returns what DriftMonitor says of a window of rows that came from where the reference did."""
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.monitoring.drift_monitor.executor import Executor as DriftMonitor
    from tfx_loop.monitoring.reference_profiler.executor import Executor as ReferenceProfiler

    write_examples(f"{folder}/examples/Split-train", pa.table(columns(0, 2 * ROWS)))
    examples = artifact(standard_artifacts.Examples, folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train"])
    profile = artifact(ReferenceProfile, folder / "profile")
    ReferenceProfiler().Do({"examples": [examples]}, {"reference_profile": [profile]}, {})
    report = artifact(DriftReport, folder / "report")
    DriftMonitor().Do(
        {"prediction_log": [log], "reference_profile": [profile]}, {"drift_report": [report]}, {}
    )
    return DRIFT_REPORT.read(report.uri)


def segments(server):
    return sorted(server.log_dir.rglob("*.arrows"))


def test_nothing_is_readable_without_the_key_and_nodes_and_forget_read_with_it(
    server, tmp_path, capsys
):
    client = server.client()
    for seed, request in enumerate(("r-1", "r-2"), start=1):
        client.predict(columns(seed), signature_name="serving_columns", request_id=request)
    key = server.base_path.parent / "log.key"
    assert key.stat().st_mode & 0o077 == 0
    keys = read_keys(str(key))
    contents = [path.read_bytes() for path in segments(server)]
    assert contents
    assert not any(word in words_in(content) for content in contents for word in (b"JFK", b"r-1"))
    assert any(b"JFK" in words_in(content, *keys) for content in contents)

    with pytest.raises(ConfigError, match="--prediction_log_key"):
        window(server, tmp_path / "none", None)
    log = window(server, tmp_path / "log", key)
    assert log.get_int_custom_property("rows") == 2 * ROWS
    assert monitored(log, tmp_path).verdict is DriftVerdict.STABLE

    words = ["forget", str(server.log_dir), "--request-id", "r-1", "--json"]
    assert main(words) == 1
    assert "key" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert main([*words, f"--log-key={key}"]) == 0
    assert sum(file["rows"] for file in json.loads(capsys.readouterr().out)["files"]) == ROWS
    # The server goes on, into a file of its own, and that is encrypted, too.
    client.predict(columns(3), signature_name="serving_columns", request_id="r-3")
    assert window(server, tmp_path / "after", key).get_int_custom_property("rows") == 2 * ROWS
    for path in segments(server):
        assert b"r-1" not in words_in(path.read_bytes(), *keys)
        assert b"r-3" not in words_in(path.read_bytes())
