"""SkewMonitor in a real TFX pipeline, behind the nodes that make what it reads; and compiled."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from compiled_pipeline import compile_pipeline

from tfx_loop.core.errors import ConfigError

ROWS = 2_000


@pytest.mark.slow
def test_the_domain_modules_need_no_tfx_and_no_pandas():
    code = (
        "import sys, tfx_loop.monitoring.skew_monitor.skew, tfx_loop.monitoring.skew_monitor.page; "
        "sys.exit(bool({'tfx', 'tensorflow', 'pandas', 'apache_beam'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def rows():
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "trip": [f"t{row}" for row in range(ROWS)],
            "miles": random.lognormal(0, 1, ROWS),
            "seconds": random.integers(60, 4_000, ROWS),
            "payment": random.choice(["Cash", "Card"], ROWS),
            "tip": random.choice([0.0, 1.0], ROWS),
            "span": 1,
        }
    )


def written_log(folder, served):
    import pyarrow as pa

    from tfx_loop.data.prediction_log.window_files import LogWindow, write_window

    about = LogWindow(window="w1", start_ms=0, end_ms=1, model_name="m", rows=len(served))
    columns = {f"feature.{name}": served[name] for name in ("miles", "seconds", "payment")}
    log = pd.DataFrame({"request_id": served["trip"], "status": "ok", **columns})
    write_window(str(folder), about, pa.Table.from_pandas(log, preserve_index=False))


def in_minutes(columns):
    """Returns features that a function makes of others, and the key of the training rows."""
    made = {"minutes": columns["seconds"] // 60}
    return made | ({"trip": columns["trip"]} if "trip" in columns else {})


def ran(folder, served, parse_fn="", **settings):
    """Runs SpanExampleGen, ReferenceProfiler and SkewMonitor; returns MLMD's artifact."""
    from tfx.dsl.components.common import importer
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local import local_dag_runner

    from tfx_loop import PredictionLog, ReferenceProfiler, SkewMonitor, SpanExampleGen

    rows().to_parquet(folder / "span-01.parquet", index=False)
    written_log(folder / "log", served)
    log = importer.Importer(source_uri=str(folder / "log"), artifact_type=PredictionLog)
    examples = SpanExampleGen(
        input_base=str(folder), spans="1", key_column="trip", label_column="tip", keep_key=True
    )
    profiler = ReferenceProfiler(
        examples=examples.outputs["examples"],
        label_key="tip",
        ignore_features=["trip"],
        parse_fn=parse_fn,
    )
    monitor = SkewMonitor(
        reference_profile=profiler.outputs["reference_profile"],
        prediction_log=log.with_id("log").outputs["result"],
        keys=["trip=request_id"],
        parse_fn=parse_fn,
        **settings,
    )
    connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    local_dag_runner.LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="skew",
            pipeline_root=str(folder / "root"),
            components=[examples, profiler, log, monitor],
            metadata_connection_config=connection,
        )
    )
    with metadata.Metadata(connection) as handle:
        [artifact] = handle.store.get_artifacts_by_type("tfx_loop.SkewReport")
    return artifact


def properties_of(artifact):
    found = artifact.custom_properties
    texts = {name: found[name].string_value for name in ("verdict", "reason", "window")}
    return {**texts, **{name: found[name].int_value for name in ("rows", "skewed_features")}}


@pytest.mark.tensorflow
def test_what_the_trainer_read_and_what_was_logged_agree(tmp_path):
    artifact = ran(tmp_path, rows().sample(frac=0.5, random_state=1))
    found = properties_of(artifact)
    # A fifth of the rows is held out and was not trained on.
    assert 0.75 * ROWS / 2 < found.pop("rows") < 0.85 * ROWS / 2
    assert found == {
        "verdict": "CONSISTENT",
        "reason": "no_skew",
        "window": "w1",
        "skewed_features": 0,
    }


@pytest.mark.tensorflow
def test_features_that_a_function_made_for_the_profile_are_made_of_the_log_too(tmp_path):
    artifact = ran(tmp_path, rows().sample(frac=0.5, random_state=1), f"{__name__}.in_minutes")
    found = properties_of(artifact)
    assert (found["verdict"], found["reason"]) == ("CONSISTENT", "no_skew")
    with open(f"{artifact.uri}/skew_report.json") as file:
        assert [feature["feature"] for feature in json.load(file)["features"]] == ["minutes"]


@pytest.mark.tensorflow
def test_a_unit_that_only_serving_changed_is_in_report_page_and_properties(tmp_path):
    served = rows()
    served["miles"] *= 1.609
    artifact = ran(tmp_path, served.drop(columns="seconds").assign(seconds="60"))
    found = properties_of(artifact)
    assert (found["verdict"], found["reason"]) == ("SKEWED", "type_changed")
    assert found["skewed_features"] == 2
    with open(f"{artifact.uri}/skew_report.json") as file:
        report = json.load(file)
    skewed = {feature["feature"]: feature for feature in report["features"] if feature["reason"]}
    assert set(skewed) == {"miles", "seconds"}
    assert skewed["miles"]["mean_difference"] == pytest.approx(
        0.609 * rows()["miles"].mean(), rel=0.1
    )
    assert (report["model_name"], report["keys"]) == ("m", {"trip": "request_id"})
    with open(f"{artifact.uri}/skew_report.html") as file:
        assert "SKEWED: type_changed" in file.read()


def imported(name, kind):
    from tfx.dsl.components.common import importer

    return importer.Importer(source_uri=f"gs://bucket/{name}", artifact_type=kind).with_id(name)


@pytest.mark.tensorflow
def test_skew_monitor_compiles_for_kubeflow(tmp_path):
    from tfx_loop import PredictionLog, ReferenceProfile, SkewMonitor

    log, profile = imported("log", PredictionLog), imported("profile", ReferenceProfile)
    monitor = SkewMonitor(
        reference_profile=profile.outputs["result"],
        prediction_log=log.outputs["result"],
        keys=["trip=request_id"],
        ignore_features=["gone"],
        tolerated=0.0,
        min_rows=10,
    )
    spec = compile_pipeline(tmp_path, [log, profile, monitor])
    inputs = spec["root"]["dag"]["tasks"]["SkewMonitor"]["inputs"]
    assert set(inputs["artifacts"]) == {"prediction_log", "reference_profile"}
    assert '[\\"trip=request_id\\"]' in json.dumps(inputs["parameters"])
    outputs = spec["components"]["SkewMonitor"]["outputDefinitions"]
    assert "tfx_loop.SkewReport" in json.dumps(outputs)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "wrong",
    [{"keys": []}, {"keys": "trip"}, {"ignore_features": "x"}, {"tolerated": 1}, {"min_rows": 0}],
)
def test_settings_are_checked_when_declared(wrong):
    from tfx_loop import PredictionLog, ReferenceProfile, SkewMonitor

    log, profile = imported("log", PredictionLog), imported("profile", ReferenceProfile)
    given = {"keys": ["trip"], **wrong}
    with pytest.raises(ConfigError):
        SkewMonitor(
            reference_profile=profile.outputs["result"],
            prediction_log=log.outputs["result"],
            **given,
        )
