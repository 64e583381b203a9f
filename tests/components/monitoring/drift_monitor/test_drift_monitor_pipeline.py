"""Both nodes in a real TFX pipeline, and what MLMD knows then."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from counted_rows import log_rows

from tfx_loop.pipelines.config import LOCAL_BEAM_ARGS

PURE = (
    "tfx_loop.monitoring.profile.build, tfx_loop.monitoring.profile.sample, "
    "tfx_loop.monitoring.drift.window_report, tfx_loop.monitoring.file_comparison.compare_files"
)


@pytest.mark.slow
def test_the_domain_modules_need_no_tfx():
    code = (
        f"import sys, {PURE}; "
        "sys.exit(bool({'tfx', 'tensorflow', 'pandas', 'apache_beam'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def written_examples(folder, rows):
    import tensorflow as tf

    folder.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for value in rows:
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            features = tf.train.Features(feature={"temp": feature})
            writer.write(tf.train.Example(features=features).SerializeToString())


def written_log(folder, rows):
    from tfx_loop.data.prediction_log.window_files import LogWindow, write_window

    about = LogWindow(window="w1", start_ms=0, end_ms=1, model_name="m", rows=len(rows))
    write_window(str(folder), about, log_rows({"temp": rows}, versions={2: len(rows)}))


@pytest.mark.tensorflow
def test_a_local_run_leaves_profile_and_report_in_mlmd(tmp_path):
    from tfx.dsl.components.common import importer
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local import local_dag_runner
    from tfx.types import standard_artifacts

    from tfx_loop import DriftMonitor, PredictionLog, ReferenceProfiler

    rng = np.random.default_rng(0)
    written_examples(tmp_path / "examples" / "Split-train", rng.normal(size=1_000))
    written_log(tmp_path / "log", rng.normal(1.0, size=1_000))
    examples = importer.Importer(
        source_uri=str(tmp_path / "examples"),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train"]'},
        custom_properties={"spans": "1,2"},
    ).with_id("examples")
    log = importer.Importer(source_uri=str(tmp_path / "log"), artifact_type=PredictionLog).with_id(
        "log"
    )
    profiler = ReferenceProfiler(examples=examples.outputs["result"])
    monitor = DriftMonitor(
        prediction_log=log.outputs["result"],
        reference_profile=profiler.outputs["reference_profile"],
        window="w1",
    )
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
    local_dag_runner.LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="drift",
            pipeline_root=str(tmp_path / "root"),
            components=[examples, log, profiler, monitor],
            metadata_connection_config=connection,
            beam_pipeline_args=list(LOCAL_BEAM_ARGS),
        )
    )
    with metadata.Metadata(connection) as store:
        profile = store.store.get_artifacts_by_type("tfx_loop.ReferenceProfile")[0]
        report = store.store.get_artifacts_by_type("tfx_loop.DriftReport")[0]
    assert profile.custom_properties["rows"].int_value == 1_000
    assert profile.custom_properties["spans"].string_value == "1,2"
    properties = report.custom_properties
    assert properties["verdict"].string_value == "DRIFT"
    assert properties["reason"].string_value == "features_drifted"
    assert properties["window"].string_value == "w1"
    assert properties["model_version"].int_value == 2
    assert properties["drifted_features"].int_value == 1
    assert properties["rows"].int_value == 1_000
    folder = Path(report.uri)
    assert {path.name for path in folder.iterdir()} == {
        "drift_report.html",
        "drift_report.json",
        "drift_report.prom",
        "window_profile.json",
        "window_profile.packed",
    }
    assert "temp" in (folder / "drift_report.html").read_text()
    assert 'verdict="DRIFT",version="2"} 1.0' in (folder / "drift_report.prom").read_text()
