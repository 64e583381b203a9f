"""Nodes whose parameters are milliseconds record into each kind of store, and are resumed there."""

import pyarrow.parquet as pq
import pytest
from log_rows import DAY_MS, START_MS, batch_of

from tfx_loop.data.prediction_log.writer import PredictionLogWriter

pytestmark = pytest.mark.tensorflow

END_MS = START_MS + 31 * DAY_MS


@pytest.fixture
def pipeline(tmp_path, new_store):
    """A pipeline of a window, made anew by each call as a process that starts makes it."""
    log = PredictionLogWriter(tmp_path / "log")
    log.append("flights", START_MS, batch_of("a", 2, event_time_ms=START_MS))
    log.close()
    (tmp_path / "labels").mkdir()

    def declared():
        from tfx import v1 as tfx

        from tfx_loop import LabelJoiner, PredictionLogGen
        from tfx_loop.pipelines.assembly import assemble
        from tfx_loop.pipelines.config import PipelineSettings

        rows = PredictionLogGen(
            log_dir=str(tmp_path / "log"),
            model_name="flights",
            window="2013-03",
            start_ms=START_MS,
            end_ms=END_MS,
        )
        labels = LabelJoiner(
            prediction_log=rows.outputs["prediction_log"],
            labels_dir=str(tmp_path / "labels"),
            as_of_ms=END_MS,
        )
        settings = PipelineSettings(
            root=str(tmp_path / "root"), metadata_path=new_store, data="", labels=""
        )
        made = assemble("monitor", [rows, labels], settings, metadata=True)
        assert isinstance(made, tfx.dsl.Pipeline)
        return made

    return declared


def test_milliseconds_are_recorded_and_a_run_is_resumed(pipeline, new_store) -> None:
    from tfx_loop.pipelines.control.stores import StoreMode, open_store
    from tfx_loop.pipelines.runners.local import run_pipeline

    assert [time.node for time in run_pipeline(pipeline(), "run-1")] == [
        "PredictionLogGen",
        "LabelJoiner",
    ]
    assert run_pipeline(pipeline(), "run-1") == []
    store = open_store(new_store, StoreMode.READ)
    said = {
        name: value.string_value
        for execution in store.get_executions()
        for name, value in execution.custom_properties.items()
        if name.endswith("_ms")
    }
    assert said == {"start_ms": str(START_MS), "end_ms": str(END_MS), "as_of_ms": str(END_MS)}
    (made, _) = sorted(store.get_artifacts(), key=lambda artifact: artifact.id)
    assert pq.read_metadata(f"{made.uri}/rows.parquet").num_rows == 2
