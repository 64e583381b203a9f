"""ReferenceProfiler reads real Examples, and DriftMonitor agrees with it on a log."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.tensorflow

ROWS = 2_000
PROFILER = {
    "label_key": "late",
    "score_key": "",
    "score_signature": "",
    "score_splits": '["eval"]',
    "ignore_features": '["month"]',
    "splits": '["train"]',
    "sample_rows": 500,
    "seed": 1,
    "numeric_bins": 32,
}
MONITOR = {
    "window": "2013-04",
    "model_name": "flights",
    "q": 0.05,
    "psi_floor": 0.1,
    "min_rows": 300,
    "windows_needed": 1,
    "windows_looked_at": 1,
    "ignore_features": "[]",
    "score_output": "output.probability",
    "fault_settings": "{}",
}


def training_rows(seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    gusts = rng.choice([0.7, 11.5, 17.3], ROWS)
    return {
        "temp": [float(v) if i % 7 else None for i, v in enumerate(rng.normal(shift, 1, ROWS))],
        "gust": gusts.tolist(),
        "hour": rng.integers(0, 24, ROWS).tolist(),
        "distance": rng.integers(100, 5_000, ROWS).tolist(),
        "dest": rng.choice(["ATL", "BOS", "ORD"], ROWS).tolist(),
        "month": rng.integers(1, 3, ROWS).tolist(),
        "late": rng.integers(0, 2, ROWS).tolist(),
        "span": [1 + i % 2 for i in range(ROWS)],
    }


def write_split(folder, columns, split="train", files=2):
    """Writes rows as TFX does: gzipped TFRecords of tf.Examples; None is an absent value."""
    import tensorflow as tf

    target = folder / f"Split-{split}"
    target.mkdir(parents=True)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    for number in range(files):
        name = str(target / f"data_tfrecord-{number:05d}-of-{files:05d}.gz")
        with tf.io.TFRecordWriter(name, options) as writer:
            for row in range(number, len(next(iter(columns.values()))), files):
                features = {
                    key: feature_of(values[row])
                    for key, values in columns.items()
                    if values[row] is not None
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


def feature_of(value):
    import tensorflow as tf

    values = value if isinstance(value, list) else [value]
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(
        bytes_list=tf.train.BytesList(
            value=[v if isinstance(v, bytes) else v.encode() for v in values]
        )
    )


def examples_artifact(folder, spans="1,2", splits='["train", "eval"]'):
    from tfx.types import standard_artifacts

    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder)
    artifact.split_names = splits
    if spans:
        artifact.set_string_custom_property("spans", spans)
    return artifact


def model_artifact(folder):
    """A model whose score is the logistic function of `temp`, as a real SavedModel."""
    import tensorflow as tf
    from tfx.types import standard_artifacts

    class SigmoidOfTemp(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def serve(self, examples):
            spec = {"temp": tf.io.FixedLenFeature([], tf.float32, 0.0)}
            temp = tf.io.parse_example(examples, spec)["temp"]
            pair = tf.stack([temp, -temp], axis=1)
            return {"probability": tf.sigmoid(temp)[:, None], "logit": temp, "pair": pair}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def of_images(self, image_bytes):
            return {"probability": tf.map_fn(_brightness, image_bytes, tf.float32)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="temp")])
        def of_columns(self, temp):
            return {"probability": tf.sigmoid(temp)}

    def _brightness(png):
        return tf.reduce_mean(tf.cast(tf.io.decode_png(png, 1), tf.float32))

    scorer = SigmoidOfTemp()
    target = str(folder / "model" / "Format-Serving")
    signatures = {
        "serving_default": scorer.serve,
        "serving_images": scorer.of_images,
        "serving_columns": scorer.of_columns,
    }
    tf.saved_model.save(scorer, target, signatures=signatures)
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder / "model")
    return artifact


def profiled(folder, examples, schema=None, model=None, **changed):
    from tfx_loop.core.artifacts import ReferenceProfile
    from tfx_loop.monitoring.reference_profiler.executor import Executor

    output = ReferenceProfile()
    output.uri = str(folder / "profile")
    inputs = {"examples": [examples]}
    if schema is not None:
        inputs["schema"] = [schema]
    if model is not None:
        inputs["model"] = [model]
    Executor().Do(inputs, {"reference_profile": [output]}, {**PROFILER, **changed})
    return output


def profile_json(artifact):
    return json.loads(Path(artifact.uri, "reference_profile.json").read_text())


def log_artifact(folder, columns, **changed):
    from tfx_loop.core.artifacts import PredictionLog
    from tfx_loop.data.prediction_log.window_files import LogWindow, write_window

    count = len(columns["temp"])
    table = pa.table(
        {
            "request_id": [f"r{i}" for i in range(count)],
            "instance_index": pa.array([0] * count, pa.int32()),
            "event_time_ms": list(range(count)),
            "model_name": ["flights"] * count,
            "model_version": pa.array([3] * count, pa.int64()),
            "status": ["ok"] * count,
            **{
                f"feature.{name}": values
                for name, values in columns.items()
                if name not in ("late", "span")
            },
            "output.probability": [1 / (1 + math.exp(-(v or 0.0))) for v in columns["temp"]],
        }
    )
    about = {"window": "2013-04", "start_ms": 0, "end_ms": 1, "model_name": "flights"}
    write_window(str(folder / "log"), LogWindow(**{**about, "rows": count, **changed}), table)
    artifact = PredictionLog()
    artifact.uri = str(folder / "log")
    return artifact


def monitored(folder, log, profile, previous=None, **changed):
    from tfx_loop.core.artifacts import DriftReport
    from tfx_loop.monitoring.drift_monitor.executor import Executor

    output = DriftReport()
    output.uri = str(folder / "report")
    inputs = {"prediction_log": [log], "reference_profile": [profile]}
    if previous is not None:
        inputs["previous_report"] = [previous]
    Executor().Do(inputs, {"drift_report": [output]}, {**MONITOR, **changed})
    return output, json.loads((folder / "report" / "drift_report.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    columns = training_rows()
    write_split(folder / "examples", columns)
    return columns, profiled(folder, examples_artifact(folder / "examples"))


def test_profile_of_real_examples(trained):
    columns, artifact = trained
    profile = profile_json(artifact)
    features = {feature["feature"]: feature for feature in profile["features"]}
    assert {name: feature["type"] for name, feature in features.items()} == {
        "temp": "numeric",
        "gust": "numeric",
        "hour": "integer",
        "distance": "integer",
        "dest": "categorical",
    }
    assert features["temp"]["counts"]["missing"] == sum(v is None for v in columns["temp"])
    tally = dict(
        zip(
            features["dest"]["bins"]["categories"], features["dest"]["counts"]["bins"], strict=False
        )
    )
    assert tally == {name: columns["dest"].count(name) for name in ("ATL", "BOS", "ORD")}
    assert profile["spans"] == [1, 2]
    assert profile["positive_rate"] == pytest.approx(np.mean(columns["late"]))
    assert artifact.get_int_custom_property("rows") == ROWS
    assert artifact.get_string_custom_property("label") == "late"
    assert artifact.get_string_custom_property("spans") == "1,2"


def test_sample_of_real_examples_holds_plain_rows(trained):
    columns, artifact = trained
    sample = pq.read_table(f"{artifact.uri}/training_sample.parquet")
    assert sample.num_rows == 500
    assert sample.schema.field("span").type == pa.int64()
    assert sample.schema.field("dest").type == pa.string()
    assert set(sample.column_names) == set(columns)
    keys = ("distance", "dest", "hour", "month", "late", "span")
    known = set(zip(*(columns[key] for key in keys), strict=True))
    assert {tuple(row[key] for key in keys) for row in sample.to_pylist()} <= known


def test_the_same_rows_profiled_and_logged_are_stable(trained, tmp_path):
    columns, profile = trained
    output, content = monitored(tmp_path, log_artifact(tmp_path, columns), profile)
    assert content["verdict"] == "STABLE"
    assert {feature["psi"] for feature in content["features"]} == {0.0}
    assert {feature["feature"] for feature in content["features"]} == {
        "temp",
        "gust",
        "hour",
        "distance",
        "dest",
    }
    assert output.get_string_custom_property("verdict") == "STABLE"
    assert output.get_string_custom_property("window") == "2013-04"
    assert output.get_int_custom_property("rows") == ROWS


def test_moved_rows_are_drift(trained, tmp_path):
    _, profile = trained
    log = log_artifact(tmp_path, training_rows(seed=5, shift=0.6))
    output, content = monitored(tmp_path, log, profile)
    assert content["verdict"] == "DRIFT"
    assert [f["feature"] for f in content["features"] if f["drifted"]] == ["temp"]
    assert output.get_int_custom_property("drifted_features") == 1


def test_a_previous_report_is_read(trained, tmp_path):
    _, profile = trained
    changed = {"windows_needed": 2, "windows_looked_at": 2}
    moved = training_rows(seed=5, shift=0.6)
    first_log = log_artifact(tmp_path / "a", moved, window="2013-03")
    first, _ = monitored(tmp_path / "a", first_log, profile, window="2013-03", **changed)
    log = log_artifact(tmp_path / "b", moved)
    _, alone = monitored(tmp_path / "b", log, profile, **changed)
    _, second = monitored(tmp_path / "b", log, profile, previous=first, **changed)
    assert (alone["verdict"], second["verdict"]) == ("STABLE", "DRIFT")


def test_an_empty_log_gets_a_report(trained, tmp_path):
    _, profile = trained
    log = log_artifact(tmp_path, {name: [] for name in training_rows()})
    _, content = monitored(tmp_path, log, profile)
    assert (content["verdict"], content["reason"]) == ("NOT_ENOUGH_DATA", "empty_window")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"window": "2013-05"}, "window '2013-05'"),
        ({"model_name": "taxi"}, "model_name 'taxi'"),
        ({"fault_settings": '{"colour": 1}'}, "colour"),
        ({"q": 2.0}, "q must be"),
    ],
)
def test_wrong_settings_of_the_monitor_are_refused(trained, tmp_path, changed, message):
    from tfx_loop.core.errors import LoopError

    columns, profile = trained
    with pytest.raises(LoopError, match=message):
        monitored(tmp_path, log_artifact(tmp_path, columns), profile, **changed)


def test_a_log_cut_in_the_middle_is_refused(trained, tmp_path):
    from tfx_loop.core.errors import DataError

    columns, profile = trained
    log = log_artifact(tmp_path, columns)
    path = tmp_path / "log" / "rows.parquet"
    path.write_bytes(path.read_bytes()[:1_000])
    with pytest.raises(DataError, match="Expected whole Parquet rows"):
        monitored(tmp_path, log, profile)


def test_a_profile_of_another_schema_version_is_refused(trained, tmp_path):
    from tfx_loop.core.artifacts import ReferenceProfile
    from tfx_loop.core.errors import DataError

    columns, _ = trained
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "reference_profile.json").write_text('{"schema_version": 7}')
    old = ReferenceProfile()
    old.uri = str(tmp_path / "old")
    with pytest.raises(DataError, match=r"schema_version 2 in .*, received 7"):
        monitored(tmp_path, log_artifact(tmp_path, columns), old)


SCORED = {"score_signature": "serving_default", "score_key": "probability"}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scored")
    write_split(folder, training_rows())
    write_split(folder, training_rows(seed=1), split="eval")
    return folder, examples_artifact(folder), model_artifact(folder)


def test_the_model_scores_the_rows_it_was_not_trained_on(scored, tmp_path):
    _, examples, model = scored
    artifact = profiled(tmp_path, examples, model=model, **SCORED)
    score = profile_json(artifact)["score"]
    held_out = [1 / (1 + math.exp(-(v or 0.0))) for v in training_rows(seed=1)["temp"]]
    assert score["moments"]["mean"] == pytest.approx(np.mean(held_out), abs=1e-5)
    assert (len(score["counts"]["bins"]), score["counts"]["rows"]) == (200, ROWS)
    _, same = monitored(tmp_path, log_artifact(tmp_path, training_rows(seed=2)), artifact)
    assert same["verdict"] == "STABLE"
    assert "output.probability" in {feature["feature"] for feature in same["features"]}
    moved = log_artifact(tmp_path / "moved", training_rows(seed=2, shift=0.8))
    _, drift = monitored(tmp_path / "moved", moved, artifact)
    assert {f["feature"] for f in drift["features"] if f["drifted"]} == {
        "temp",
        "output.probability",
    }


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"score_signature": "classify"}, "signature 'classify'.*serving_default"),
        ({"score_key": "chance"}, "output 'chance'.*logit"),
        (
            {"score_signature": "serving_columns"},
            "'serving_columns': Expected numbers in the feature 'temp'.*none.*serving_default",
        ),
        (
            {"score_signature": "serving_columns", "score_key": "logit"},
            "'serving_columns'.*score_key or name as score_signature serving_default",
        ),
        ({"score_signature": "serving_images"}, "'serving_images': The model.*serving_default"),
        ({"score_splits": '["test"]'}, "split 'test'"),
    ],
)
def test_a_model_that_cannot_score_is_refused(scored, tmp_path, changed, message):
    from tfx_loop.core.errors import LoopError

    _, examples, model = scored
    with pytest.raises(LoopError, match=message) as raised:
        profiled(tmp_path, examples, model=model, **{**SCORED, **changed})
    assert "\n" not in str(raised.value)


def test_a_signature_of_columns_scores_the_features_that_it_is_called_after(scored):
    from many_signatures import example

    from tfx_loop.monitoring.reference_profiler.scoring import Scorer

    _, _, model = scored
    records = [example(temp=float(value), dest="ATL") for value in range(-2, 3)]
    whole, by_column = (
        Scorer(model.uri, signature, "probability")(records)
        for signature in ("serving_default", "serving_columns")
    )
    assert whole == pytest.approx([1 / (1 + math.exp(-v)) for v in range(-2, 3)])
    assert by_column == pytest.approx(whole)


def test_logits_and_scores_of_classes_are_profiled_and_say_nothing_of_labels(scored, tmp_path):
    _, examples, model = scored
    for key in ("logit", "pair"):
        changed = {**SCORED, "score_key": key}
        profile = profile_json(profiled(tmp_path / key, examples, model=model, **changed))
        # The logit is the column `temp` itself, and the pair's larger half its size.
        lowest = profile["score"]["counts"]["minimum"]
        assert lowest < -2 if key == "logit" else lowest >= 0
        assert profile["score_positives"] == []


def image_features(columns):
    """Returns what is profiled of images: how long they are."""
    return {"size": [len(value) for value in columns["image"]]}


def test_images_are_profiled_and_monitored_by_what_a_function_makes_of_them(tmp_path):
    """The log has escaped what is no UTF-8; the function gets the bytes that were sent."""
    rng = np.random.default_rng(0)

    def images(low, high):
        return [b"\x89\xff" * int(n) for n in rng.integers(low, high, ROWS)]

    write_split(tmp_path, {"image": images(10, 90), "late": [1, 0] * (ROWS // 2)})
    path = f"{__name__}.image_features"
    artifact = profiled(tmp_path, examples_artifact(tmp_path), parse_fn=path)
    assert [found["feature"] for found in profile_json(artifact)["features"]] == ["size"]
    for name, (low, high), verdict in (
        ("same", (10, 90), "STABLE"),
        ("listed", (10, 90), "STABLE"),
        ("large", (50, 90), "DRIFT"),
    ):
        sent = [v.decode("utf-8", "backslashreplace") for v in images(low, high)]
        if name == "listed":
            # As the log has what the signature does not tell the number of.
            sent = [[value] for value in sent]
        log = log_artifact(tmp_path / name, {"image": sent, "temp": [0.0] * ROWS})
        _, report = monitored(tmp_path / name, log, artifact, parse_fn=path)
        assert report["verdict"] == verdict, report["explanation"]


def test_held_out_labels_by_score_are_kept_for_the_isotonic_map(scored, tmp_path):
    _, examples, model = scored
    profile = profile_json(profiled(tmp_path, examples, model=model, **SCORED))
    assert sum(profile["score_positives"]) == sum(training_rows(seed=1)["late"])


def test_only_the_column_that_the_model_reads_is_important(scored, tmp_path):
    _, examples, model = scored
    artifact = profiled(tmp_path, examples, model=model, **SCORED, importance_rows=300)
    profile = profile_json(artifact)
    assert profile["importance_metric"] == "log_loss"
    assert set(profile["importances"]) == {"temp", "gust", "hour", "distance", "dest"}
    others = [value for name, value in profile["importances"].items() if name != "temp"]
    assert others == [0.0] * 4
    assert profile["importances"]["temp"] != 0.0
    unlabelled = profile_json(
        profiled(tmp_path, examples, model=model, **SCORED, importance_rows=300, label_key="")
    )
    assert unlabelled["importance_metric"] == "score_change"
    assert unlabelled["importances"]["temp"] > 0.1
    assert unlabelled["importances"]["dest"] == 0.0


def test_slices_hold_the_training_rows_of_each_value(tmp_path):
    columns = training_rows()
    write_split(tmp_path, columns)
    artifact = profiled(tmp_path, examples_artifact(tmp_path), slice_features='["dest"]')
    counts = {name: columns["dest"].count(name) for name in ("ATL", "BOS", "ORD")}
    assert profile_json(artifact)["slices"] == {"dest": counts}


def test_several_values_a_row_are_counted_by_length_and_value(tmp_path):
    columns = {"x": [1.0, 2.0] * 5, "words": [["a", "b"], "c"] * 5, "late": [0, 1] * 5}
    write_split(tmp_path, columns)
    artifact = profiled(tmp_path, examples_artifact(tmp_path, spans=""))
    features = {entry["feature"]: entry for entry in profile_json(artifact)["features"]}
    assert set(features) == {"words#length", "words#value", "x"}
    assert features["words#length"]["bins"] == {"categories": [1, 2]}
    assert features["words#value"]["kind"] == "multivalent"


def readable_by_others(folder):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.name: path.read_text() for path in files if path.stat().st_mode & 0o044}


def test_nothing_of_redacted_features_and_few_rows_leaves_the_nodes(tmp_path, caplog):
    columns = training_rows()
    columns["dest"][:2] = ["Zermatt", "Zermatt"]
    columns["note"] = ["from Bern"] * ROWS
    write_split(tmp_path / "examples", columns)
    hidden = {"redact": '["note", "temp"]', "redact_key": str(tmp_path / "key")}
    profile = profiled(
        tmp_path,
        examples_artifact(tmp_path / "examples"),
        slice_features='["dest", "note"]',
        training_sample="redacted",
        **hidden,
    )
    moved = {**training_rows(1), "note": ["to Visp"] * ROWS}
    moved["dest"][:2] = ["Arosa", "Arosa"]
    moved["hour"] = [99] * ROWS
    log = log_artifact(tmp_path, moved)
    # What the reference hides stays hidden, though the monitor does not name it.
    key = {"redact_key": hidden["redact_key"], "multivariate": 1}
    artifact, report = monitored(tmp_path, log, profile, **key)
    assert report["verdict"] == "DATA_FAULT"
    told = {**readable_by_others(profile.uri), **readable_by_others(artifact.uri)}
    assert {"reference_profile.json", "drift_report.json", "drift_report.html"} <= {*told}
    assert {"window_profile.json", "drift_report.prom"} <= {*told}
    told["log"] = caplog.text
    for name, text in told.items():
        for value in ("Zermatt", "Arosa", "from Bern", "to Visp"):
            assert value not in text, name
    assert "BOS" in told["drift_report.html"]
    assert "Zermatt" in Path(profile.uri, "reference_profile.whole.json").read_text()
    sample = pq.read_table(Path(profile.uri, "training_sample.parquet"))
    assert "temp" not in sample.column_names
    assert all(text.startswith("#") for text in sample["note"].to_pylist())
    _, second = monitored(tmp_path, log, profile, artifact, windows_looked_at=2, **key)
    slices = [{f["slice"] for f in found["features"]} for found in (report, second)]
    assert slices[0] == slices[1]


def test_a_sample_can_be_left_out(tmp_path):
    write_split(tmp_path, training_rows())
    artifact = profiled(tmp_path, examples_artifact(tmp_path), training_sample="none")
    assert pq.read_table(Path(artifact.uri, "training_sample.parquet")).num_rows == 0
    assert profile_json(artifact)["sample"]["rows"] == 0


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"redact": '["ctiy"]'}, "under a wrong one"), ({"training_sample": "some"}, "'none'")],
)
def test_what_would_hide_nothing_is_refused(tmp_path, changed, says):
    from tfx_loop.core.errors import ConfigError

    write_split(tmp_path, training_rows())
    with pytest.raises(ConfigError, match=says):
        profiled(tmp_path, examples_artifact(tmp_path), **changed)


def test_a_column_that_only_some_batches_have_is_missing_in_the_others(tmp_path):
    rare = [None] * 5_500 + [1.5] * 500
    write_split(tmp_path, {"x": [1.0] * 6_000, "rare": rare, "late": [0] * 6_000}, files=1)
    artifact = profiled(tmp_path, examples_artifact(tmp_path))
    profile = profile_json(artifact)
    counts = {feature["feature"]: feature["counts"] for feature in profile["features"]}
    assert (counts["rare"]["missing"], counts["rare"]["rows"]) == (5_500, 6_000)


def test_a_schema_restricts_what_is_read(tmp_path):
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import io_utils

    write_split(tmp_path, {"x": [1.0, 2.0], "y": [3.0, 4.0], "late": [0, 1]})
    schema = schema_pb2.Schema()
    for name, kind in (("x", schema_pb2.FLOAT), ("late", schema_pb2.INT)):
        schema.feature.add(name=name, type=kind)
    io_utils.write_pbtxt_file(str(tmp_path / "schema" / "schema.pbtxt"), schema)
    artifact = standard_artifacts.Schema()
    artifact.uri = str(tmp_path / "schema")
    output = profiled(tmp_path, examples_artifact(tmp_path), schema=artifact)
    profile = profile_json(output)
    assert [feature["feature"] for feature in profile["features"]] == ["x"]


def test_a_cut_record_file_is_refused(tmp_path):
    from tfx_loop.core.errors import DataError

    write_split(tmp_path, training_rows(), files=1)
    path = next((tmp_path / "Split-train").iterdir())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="cut or damaged"):
        profiled(tmp_path, examples_artifact(tmp_path))


def test_a_feature_that_changes_its_type_is_refused(tmp_path):
    from tfx_loop.core.errors import DataError

    mixed = [1.0] * 10 + [1] * 10
    write_split(tmp_path, {"x": mixed, "late": [0] * 20})
    with pytest.raises(DataError, match="one type a feature"):
        profiled(tmp_path, examples_artifact(tmp_path))


@pytest.mark.parametrize(
    ("spans", "splits", "changed", "message"),
    [
        ("1,two", '["train"]', {}, "1,two"),
        ("1", '["train"]', {"splits": '["test"]'}, "split 'test'"),
        ("1", '["train", "eval"]', {"splits": '["eval"]'}, "empty or missing folder"),
        ("1", '["train"]', {"label_key": "early"}, "label column 'early'"),
    ],
)
def test_wrong_examples_are_refused(tmp_path, spans, splits, changed, message):
    from tfx_loop.core.errors import DataError

    write_split(tmp_path, {"x": [1.0, 2.0], "late": [0, 1]})
    with pytest.raises(DataError, match=message):
        profiled(tmp_path, examples_artifact(tmp_path, spans, splits), **changed)
