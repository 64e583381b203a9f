"""Pushes of models with any signature: columns, bytes, names of all kinds; Pusher's arguments."""

import numpy as np
import pytest

from tfx_loop.core.errors import ModelRejected

pytestmark = pytest.mark.tensorflow


def asked(folder, examples, **terms):
    """Returns what would be asked of a server, and the answers expected."""
    from tfx_loop.deployment.serving_pusher.golden import golden_requests
    from tfx_loop.deployment.serving_pusher.golden_rows import GoldenTerms

    return golden_requests(folder, examples, GoldenTerms(**{"rows": 4, **terms}))


def test_raw_columns_are_the_features_of_their_names_and_gaps_are_filled(tmp_path):
    import many_signatures as models

    golden = asked(models.save(tmp_path, serving_default=models.of_columns()), models.rows())
    assert golden.signature == "serving_default"
    assert golden.instances[1] == {"width": [0.5], "rooms": 1, "region": b"r1"}
    assert golden.instances[3]["region"] == b""
    np.testing.assert_allclose(golden.expected["y"], [2.0, 5.5, 9.0, 10.5])


def test_serialized_examples_are_told_by_what_the_graph_does_with_them(tmp_path):
    import many_signatures as models

    folder = models.save(tmp_path, serving_tf_example=models.of_examples("serialized"))
    rows = models.rows()
    golden = asked(folder, rows)
    assert golden.signature == "serving_tf_example"
    assert golden.instances == rows[:4]
    np.testing.assert_allclose(golden.expected["y"], [0, 1, 2, 3])


def test_bytes_of_pictures_come_from_the_one_feature_that_holds_bytes(tmp_path):
    import many_signatures as models

    golden = asked(models.save(tmp_path, serving_default=models.of_pictures()), models.pictures())
    assert golden.instances[0]["image_bytes"].startswith(b"\x89PNG")
    assert golden.expected["y"].shape == (4,)


def test_the_signature_that_is_named_is_asked_and_no_other(tmp_path):
    import many_signatures as models

    folder = models.save(
        tmp_path, serving_default=models.of_examples(), serving_raw=models.of_columns()
    )
    assert asked(folder, models.rows()).signature == "serving_default"
    assert asked(folder, models.rows(), signature_name="serving_raw").signature == "serving_raw"
    with pytest.raises(ModelRejected, match=r"the signature 'raw' .* serving_default, serving_raw"):
        asked(folder, models.rows(), signature_name="raw")


def test_inputs_that_no_feature_is_called_after_take_those_that_are_named(tmp_path):
    import many_signatures as models

    folder = models.save(tmp_path, serving_default=models.of_rows())
    with pytest.raises(ModelRejected, match=r"input inputs .* golden_features=\{'inputs': \[...\]"):
        asked(folder, models.rows())
    golden = asked(folder, models.rows(), features={"inputs": ("width", "rooms")})
    np.testing.assert_allclose(golden.expected["y"], [0, 1.5, 3, 4.5])


def test_batch_of_one_size_is_asked_with_that_many_rows(tmp_path):
    import many_signatures as models

    folder = models.save(tmp_path, serving_default=models.of_rows(batch=3))
    golden = asked(folder, models.rows(), features={"inputs": ("width", "rooms")})
    assert len(golden.instances) == 3


def test_signature_that_the_examples_suit_is_asked_where_the_usual_one_takes_something_else(
    tmp_path,
):
    import many_signatures as models

    folder = models.save(
        tmp_path, serving_default=models.of_rows(), serving_columns=models.of_columns()
    )
    assert asked(folder, models.rows()).signature == "serving_columns"


def test_export_of_keras_3_is_asked_by_its_serve_signature(tmp_path):
    import many_signatures as models

    folder = models.export_keras(tmp_path / "exported")
    golden = asked(folder, models.rows(), signature_name="serve")
    assert golden.instances[2] == {"width": [1.0], "rooms": [2.0]}
    (answers,) = golden.expected.values()
    np.testing.assert_allclose(answers.reshape(-1), [0, 1.5, 3, 4.5])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from server_process import ServerProcess

    scratch = tmp_path_factory.mktemp("served")
    (scratch / "serving").mkdir()
    running = ServerProcess(scratch / "serving", scratch, scratch / "log").start()
    yield running
    running.stop()


def push(folder, examples, scratch, *, inputs=None, **settings):
    """Runs the node's executor; returns PushedModel."""
    from tfx.types import artifact_utils, standard_artifacts

    from tfx_loop.deployment.serving_pusher.executor import Executor
    from tfx_loop.deployment.serving_pusher.settings import ServingPusherSettings

    pushed, model = standard_artifacts.PushedModel(), standard_artifacts.Model()
    pushed.uri, model.uri = str(scratch / "pushed"), str(folder)
    (scratch / "pushed").mkdir(exist_ok=True)
    given = {"model": [model], **(inputs or {})}
    if examples is not None:
        given["examples"] = [standard_artifacts.Examples()]
        given["examples"][0].uri = str(scratch / "examples")
        given["examples"][0].split_names = artifact_utils.encode_split_names(["eval"])
        write(scratch / "examples" / "Split-eval", examples)
    chosen = ServingPusherSettings.of({"golden_rows": 4, **settings})
    Executor().Do(given, {"pushed_model": [pushed]}, chosen.to_properties())
    return pushed


def write(folder, records):
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "rows.gz"), "GZIP") as writer:
        for record in records:
            writer.write(record)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["columns", "examples", "pictures", "serve"])
def test_server_is_asked_in_the_way_that_the_signature_wants(server, tmp_path, kind):
    import many_signatures as models
    from time_limits import seconds

    from tfx_loop.data.prediction_log.reader import read_window

    folder, examples = tmp_path / "model" / "Format-Serving", models.rows()
    asked_for = {}
    if kind == "serve":
        models.export_keras(folder)
        asked_for = {"signature_name": "serve"}
    elif kind == "pictures":
        models.save(folder, serving_default=models.of_pictures())
        examples = models.pictures()
    elif kind == "examples":
        models.save(folder, serving_tf_example=models.of_examples("serialized"))
    else:
        models.save(folder, serving_default=models.of_columns())
    pushed = push(
        folder.parent,
        examples,
        tmp_path,
        model_name="flights",
        base_path=str(server.base_path),
        server_url=f"http://127.0.0.1:{server.rest_port}",
        load_timeout_seconds=int(seconds(30)),
        **asked_for,
    )
    names = {"serve": "serve", "examples": "serving_tf_example"}
    assert pushed.get_string_custom_property("signature") == names.get(kind, "serving_default")
    assert pushed.get_int_custom_property("pushed") == 1
    if kind == "examples":
        # Whatever the input is called, the log has the features and not the bytes.
        server.client().predict(
            instances=examples[:1], signature_name="serving_tf_example", event_time_ms=5
        )
        window = read_window(str(server.log_dir), "flights", 0, 10)
        columns = [name for name in window.table.column_names if name.startswith("feature.")]
        assert columns == ["feature.width"]


def destination(folder):
    from tfx.proto import pusher_pb2

    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=str(folder))
    return pusher_pb2.PushDestination(filesystem=filesystem)


def test_pushers_arguments_push_to_a_folder_that_no_server_is_asked_about(tmp_path):
    import many_signatures as models

    from tfx_loop.contracts.deployment_record import read_record

    model = tmp_path / "model"
    models.save(model / "Format-Serving", serving_default=models.of_columns())
    base = tmp_path / "houses"
    versions = []
    for examples in (None, models.rows()):
        pushed = push(model, examples, tmp_path, push_destination=destination(base))
        versions.append(pushed.get_int_custom_property("pushed_version"))
    # Named by the time, as Pusher names them, and no number twice.
    assert versions[0] > 1_700_000_000
    assert versions[1] > versions[0]
    assert pushed.get_string_custom_property("pushed_destination") == str(base / str(versions[1]))
    assert (base / str(versions[1]) / "saved_model.pb").is_file()
    assert (tmp_path / "pushed" / "saved_model.pb").is_file()
    assert read_record(str(base), "houses").stable.version == versions[1]


def test_folder_gets_no_version_that_answers_with_nan(tmp_path):
    import many_signatures as models

    model = tmp_path / "model"
    declared, score = models.of_columns()
    broken = (declared, lambda **inputs: score(**inputs) / 0.0)
    models.save(model / "Format-Serving", serving_default=broken)
    with pytest.raises(ModelRejected, match="finite values for output 'y'"):
        push(model, models.rows(), tmp_path, push_destination=destination(tmp_path / "houses"))
    left = [path.name for path in (tmp_path / "houses").iterdir() if path.name != ".lock"]
    assert left == ["deployment.json"]


@pytest.mark.parametrize("blessed", [1, 0])
def test_infra_blessing_holds_a_push_back_and_may_bring_the_model(tmp_path, blessed):
    import many_signatures as models
    from tfx.types import standard_artifacts

    blessing = standard_artifacts.InfraBlessing()
    blessing.uri = str(tmp_path / "infra")
    # As InfraValidator leaves it, with RequestSpec.make_warmup.
    blessing.set_int_custom_property("blessed", blessed)
    blessing.set_int_custom_property("has_model", 1)
    models.save(tmp_path / "infra" / "stamped_model", serving_default=models.of_columns())
    result = push(
        tmp_path,
        models.rows(),
        tmp_path,
        inputs={"model": [], "infra_blessing": [blessing]},
        push_destination=destination(tmp_path / "houses"),
    )
    assert (result.get_int_custom_property("pushed") or 0) == blessed
    reason = result.get_string_custom_property("reason")
    assert reason == ("" if blessed else "not_infra_blessed")
