"""kill -9 in the midst of the real training pipeline: one launch, resumed, one new version."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from demo_run import DemoRun
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb
from time_limits import seconds

from tfx_loop.contracts.deployment_record import read_record
from tfx_loop.core.storage import read_json, write_json
from tfx_loop.pipelines.control.decisions import latest_decision
from tfx_loop.pipelines.control.run_state import last_executions
from tfx_loop.pipelines.runners.model_server import model_server

# tests/pipelines/test_loop_killed.py kills at every step, with a training that takes no time.
pytestmark = [
    pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.long, pytest.mark.timeout(900),
]  # fmt: skip

DRIVER = Path(__file__).resolve().parents[1] / "helpers/retrain_driver.py"


def test_training_killed_in_a_node_is_resumed_as_the_same_launch(
    demo_run: DemoRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from retrain_driver import retrain

    folder = demo_run.folder
    store = _store(folder)
    decision_id = _ask_for_a_retraining(store, tmp_path)
    runs_before = _training_runs(store)
    base_path = folder / "serving" / "flights"
    with model_server("flights", base_path, tmp_path / "log", tmp_path) as url:
        killed = _start_and_kill(folder, url, decision_id, after="Transform")
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
        assert "ended Transform" in killed.stdout
        assert "ended Trainer" not in killed.stdout
        [run_id] = _training_runs(store) - runs_before
        half = last_executions(store, run_id)
        assert half["Transform"].last_known_state == pb.Execution.COMPLETE

        capfd.readouterr()
        retrain(folder, url, decision_id)
        resumed = capfd.readouterr().out
        assert "outcomes ['SUCCEEDED']" in resumed
        assert "ended Transform" not in resumed

        retrain(folder, url, decision_id)
        again = capfd.readouterr().out
        assert "outcomes" in again
        assert "ended" not in again

    assert _training_runs(store) - runs_before == {run_id}
    whole = last_executions(store, run_id)
    assert whole["Transform"].id == half["Transform"].id
    assert whole["Trainer"].id == half["Trainer"].id
    done = {pb.Execution.COMPLETE, pb.Execution.CACHED}
    assert {execution.last_known_state for execution in whole.values()} <= done
    record = read_record(str(base_path), "flights")
    assert [v.version for v in record.versions] == [1, 2, 3]
    assert record.stable is not None
    assert (record.stable.version, record.stable.run_id) == (3, run_id)
    assert json.loads((base_path / "deployment.json").read_text())["stable"] == 3


def _ask_for_a_retraining(store: metadata_store.MetadataStore, folder: Path) -> int:
    """Records a decision as RetrainDecider would have, had June's evidence been stronger."""
    last = latest_decision(store, "flights", before="2013-07")
    assert last is not None
    content = read_json(f"{last.uri}/retrain_decision.json")
    write_json(
        f"{folder}/retrain_decision.json", {**content, "verdict": "RETRAIN", "action": "retrain"}
    )
    [artifact] = store.get_artifacts_by_id([last.artifact_id])
    asked = pb.Artifact(type_id=artifact.type_id, uri=str(folder), state=pb.Artifact.LIVE)
    for name, value in artifact.custom_properties.items():
        asked.custom_properties[name].CopyFrom(value)
    return int(store.put_artifacts([asked])[0])


def _start_and_kill(
    folder: Path, url: str, decision: int, after: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(DRIVER), str(folder), url, str(decision), after],
        capture_output=True,
        text=True,
        timeout=seconds(400),
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONWARNINGS": "ignore"},
        check=False,
    )


def _store(folder: Path) -> metadata_store.MetadataStore:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE
    return metadata_store.MetadataStore(config)


def _training_runs(store: metadata_store.MetadataStore) -> set[str]:
    runs = store.get_contexts_by_type("pipeline_run")
    return {run.name for run in runs if run.name.startswith("retrain-")}
