"""Roles and thresholds do the same in a pipeline of TFX as in `loop monitor`, and tell as much."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from counted_rows import log_rows

from tfx_loop.pipelines.cli import main
from tfx_loop.pipelines.config import LOCAL_BEAM_ARGS

pytestmark = pytest.mark.tensorflow
ROWS = 2_000
ROLES = {"ids": ["trip"], "group": "shop", "label": "tip"}
THRESHOLDS = {"gaps": {"missing_rise": 0.5}, "temp": {"psi_floor": 2.0}}
TOML = """
[columns]
trip = { role = "id" }
shop = { role = "group" }
tip = { role = "label" }
gaps = { missing_rise = 0.5 }
temp = { psi_floor = 2.0 }
"""


def table(seed, missing, shift, first):
    """Ten rows of each shop, which has a level of its own; trips are numbered on."""
    random = np.random.default_rng(seed)
    level = np.repeat(random.normal(size=ROWS // 10), 10)
    gaps = random.normal(size=ROWS)
    gaps[random.random(ROWS) < missing] = np.nan
    return pd.DataFrame(
        {
            "temp": (random.normal(size=ROWS) + shift).astype(np.float32),
            "own": (level + 0.3 * random.normal(size=ROWS)).astype(np.float32),
            "gaps": gaps.astype(np.float32),
            "trip": random.permutation(ROWS) + first,
            "shop": np.repeat(np.arange(ROWS // 10), 10) + 1_000 * seed,
        }
    )


def written_examples(folder, frame):
    import tensorflow as tf

    def feature(value):
        if isinstance(value, (int, np.integer)):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    folder.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as writer:
        for row in frame.itertuples(index=False):
            held = {n: v for n, v in zip(frame, row, strict=True) if v == v}
            features = tf.train.Features(feature={n: feature(v) for n, v in held.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())


def written_log(folder, frame):
    from tfx_loop.data.prediction_log.window_files import LogWindow, write_window

    about = LogWindow(window="w1", start_ms=0, end_ms=1, model_name="m", rows=ROWS)
    columns = {
        name: [None if value != value else value for value in frame[name].tolist()]
        for name in frame
    }
    write_window(str(folder), about, log_rows(columns, versions={2: ROWS}))


@pytest.fixture(scope="module")
def tables():
    before = table(1, 0.02, 0.0, 0)
    before["tip"] = np.random.default_rng(9).normal(size=ROWS).astype(np.float32)
    return before, table(2, 0.3, 0.6, 10**6)


@pytest.fixture(scope="module")
def reports(tables, tmp_path_factory):
    """Drift reports of one pipeline's two monitors, told the roles and thresholds and not."""
    from tfx.dsl.components.common import importer
    from tfx.orchestration import metadata, pipeline
    from tfx.orchestration.local import local_dag_runner
    from tfx.types import standard_artifacts

    from tfx_loop import DriftMonitor, PredictionLog, ReferenceProfiler

    folder = tmp_path_factory.mktemp("pipeline")
    written_examples(folder / "examples" / "Split-train", tables[0])
    written_log(folder / "log", tables[1])
    examples = importer.Importer(
        source_uri=str(folder / "examples"),
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train"]'},
    ).with_id("examples")
    log = importer.Importer(source_uri=str(folder / "log"), artifact_type=PredictionLog)
    log = log.with_id("log")
    nodes, monitors = [examples, log], {}
    for name, roles, thresholds in (("told", ROLES, THRESHOLDS), ("untold", {}, {})):
        profiler = ReferenceProfiler(examples=examples.outputs["result"], roles=roles)
        profiler = profiler.with_id(f"profiler_{name}")
        monitors[name] = DriftMonitor(
            prediction_log=log.outputs["result"],
            reference_profile=profiler.outputs["reference_profile"],
            roles=roles,
            thresholds=thresholds,
        ).with_id(f"monitor_{name}")
        nodes += [profiler, monitors[name]]
    connection = metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    local_dag_runner.LocalDagRunner().run(
        pipeline.Pipeline(
            pipeline_name="drift",
            pipeline_root=str(folder / "root"),
            components=nodes,
            metadata_connection_config=connection,
            beam_pipeline_args=list(LOCAL_BEAM_ARGS),
        )
    )
    found = {}
    for name in monitors:
        path = next((folder / "root" / f"monitor_{name}").rglob("drift_report.json"))
        found[name] = json.loads(Path(path).read_text())
    return found


def commanded(tables, folder, capsys, *options):
    for name, frame in zip(("a", "b"), tables, strict=True):
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    files = "--reference", str(folder / "a.parquet"), "--current", str(folder / "b.parquet")
    main.main(["monitor", *files, "--json", *options])
    return json.loads(capsys.readouterr().out)


def features(report):
    return {f["feature"]: f for f in report["features"]}


def test_roles_and_thresholds_hold_in_the_node_as_in_the_command(reports, tables, tmp_path, capsys):
    (tmp_path / "columns.toml").write_text(TOML)
    command = commanded(tables, tmp_path, capsys, "--config", str(tmp_path / "columns.toml"))
    node = reports["told"]
    assert (node["verdict"], command["verdict"]) == ("STABLE", "STABLE")
    for found in (features(node), features(command)):
        assert (found["temp"]["held_by"], found["temp"]["drifted"]) == ("effect_floor", False)
        assert (found["gaps"]["fault"], found["gaps"]["drifted"]) == (None, False)
        assert 0.27 < found["gaps"]["missing_share"] < 0.33
        # Ten rows a shop, nearly alike: they tell as much as one or two.
        assert found["own"]["design_effect"] > 4
    assert {"trip", "shop"}.isdisjoint(features(node))


def test_without_them_both_alarm(reports, tables, tmp_path, capsys):
    command = commanded(tables, tmp_path, capsys)
    for report in (reports["untold"], command):
        assert report["verdict"] == "DATA_FAULT"
        assert features(report)["gaps"]["fault"] == "missing_flood"
        assert features(report)["temp"]["drifted"]


def test_the_node_tells_what_changed_as_the_command_does(reports, tables, tmp_path, capsys):
    (tmp_path / "columns.toml").write_text(TOML)
    command = commanded(tables, tmp_path, capsys, "--config", str(tmp_path / "columns.toml"))
    ours, theirs = (features(report)["temp"]["change"] for report in (reports["told"], command))
    assert ours.keys() == theirs.keys()
    for side, seed in (("reference", 0), ("current", 1)):
        mine, other = ours[side], theirs[side]
        assert mine.keys() == other.keys()
        assert mine["mean"] == pytest.approx(tables[seed]["temp"].mean(), abs=1e-2)
        assert mine["mean"] == pytest.approx(other["mean"], abs=1e-2)
        assert mine["maximum"] == pytest.approx(other["maximum"], rel=1e-5)
        assert mine["quantiles"]["0.5"] == pytest.approx(other["quantiles"]["0.5"], abs=0.1)
    assert sum(share["current"] for share in ours["bins"]) == pytest.approx(1.0)
