"""A reference profile holds what training saw, and survives its JSON."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.core.errors import ConfigError, DataError
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.columns import FeatureType
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE

REQUEST = ProfileRequest(label="late", ignore_features=("month",), score="score", sample_rows=100)


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    n = 1_000
    return pa.table(
        {
            "temp": rng.normal(size=n).astype(np.float32),
            "hour": rng.integers(0, 24, n),
            "origin": rng.choice(["EWR", "JFK"], n),
            "month": rng.integers(1, 3, n),
            "late": (np.arange(n) % 4 == 0).astype(np.int64),
            "score": rng.uniform(size=n),
            "span": np.repeat([1, 2], n // 2),
            "event_time_ms": np.arange(n),
            "words": pa.array([["a", "b"]] * n),
            "never": pa.nulls(n),
        }
    )


def test_profile_holds_features_label_spans_and_sample(table):
    profile, sample = build(table, REQUEST)
    shown = {f.name: f.kind for f in profile.features}
    assert shown == {
        "hour": FeatureType.INTEGER,
        "origin": FeatureType.CATEGORICAL,
        "temp": FeatureType.NUMERIC,
        "words#length": FeatureType.MULTIVALENT,
        "words#value": FeatureType.MULTIVALENT,
    }
    assert (profile.rows_total, profile.label, profile.positive_rate) == (1_000, "late", 0.25)
    assert profile.spans == (1, 2)
    assert set(profile.ignored) == {"event_time_ms", "late", "month", "score", "span"}
    assert {s.name: s.reason for s in profile.skipped} == {"never": "no_values"}
    assert (profile.sample.rows, profile.sample.fraction) == (100, 0.1)
    assert {"temp", "hour", "origin", "month", "late", "span", "event_time_ms"} < set(
        sample.column_names
    )
    assert "score" not in sample.column_names
    assert sample.schema.field("temp").type == pa.float64()


def test_score_has_200_bins(table):
    profile, _ = build(table, REQUEST)
    assert len(profile.score.counts.bins) == 200
    assert sum(profile.score.counts.bins) == 1_000


def test_scores_may_come_from_rows_of_their_own(table):
    scores = pa.array(np.linspace(0, 1, 77))
    profile, _ = build(table.drop(["score"]), REQUEST, scores=scores)
    assert (profile.score.name, profile.score.counts.rows) == ("score", 77)
    assert "score" not in profile.ignored


def test_score_of_a_regression_has_bins_of_equal_mass_and_no_map_to_quality(table):
    scores, labels = np.linspace(-50, 250, 1_000), pa.array([0, 1] * 500)
    profile, _ = build(table, REQUEST, scores=pa.array(scores), score_labels=labels)
    counts = profile.score.counts.bins
    assert (len(counts), min(counts)) == (32, 31)
    assert profile.score_positives == ()


def test_score_of_several_classes_is_the_largest(table):
    scores = pa.array([[0.25, 0.75], [0.625, 0.375], [0.5, 0.5]])
    profile, _ = build(table, REQUEST, scores=scores, score_labels=pa.array([0, 1, 1]))
    assert (profile.score.counts.minimum, profile.score.counts.maximum) == (0.5, 0.75)
    assert profile.score_positives == ()


def test_infinite_score_is_refused(table):
    with pytest.raises(DataError, match="Expected finite scores"):
        build(table, REQUEST, scores=pa.array([0.5, np.inf]))


def test_bytes_that_are_no_text_are_named_and_not_profiled(table):
    images = pa.array([b"\x89PNG" + bytes([i % 200]) for i in range(1_000)], pa.binary())
    text = pa.array([b"JFK", b"caf\xe9"] + [b"LGA"] * 998, pa.binary())
    columns = table.append_column("image", images).append_column("code", text)
    profile, _ = build(columns, REQUEST)
    assert {s.name: s.reason for s in profile.skipped}["image"] == "binary"
    assert "code" in {feature.name for feature in profile.features}


def test_given_spans_win_over_the_column(table):
    assert build(table, REQUEST, [5, 3])[0].spans == (3, 5)


def test_json_round_trip(table):
    profile, _ = build(table, REQUEST)
    text = json.dumps(REFERENCE_PROFILE.content(profile), allow_nan=False)
    again = REFERENCE_PROFILE.value(json.loads(text))
    assert again == profile
    assert again.digest() == profile.digest()


def test_profile_does_not_depend_on_the_order_of_rows(table):
    shuffled = table.take(pa.array(np.random.default_rng(2).permutation(table.num_rows)))
    (first, rows), (second, others) = build(table, REQUEST), build(shuffled, REQUEST)
    assert [f.counts for f in first.features] == [f.counts for f in second.features]
    assert [f.bins for f in first.features] == [f.bins for f in second.features]
    assert rows.equals(others)


@pytest.mark.parametrize("version", [0, 1, 3, None, "2"])
def test_another_schema_version_is_refused(table, version):
    content = {**REFERENCE_PROFILE.content(build(table, REQUEST)[0]), "schema_version": version}
    with pytest.raises(DataError, match=r"schema_version 2 in .*, received"):
        REFERENCE_PROFILE.value(content)


@pytest.mark.parametrize("key", ["rows_total", "features", "sample", "skipped", "settings"])
def test_a_profile_that_lacks_a_part_is_refused(table, key):
    content = REFERENCE_PROFILE.content(build(table, REQUEST)[0])
    del content[key]
    with pytest.raises(DataError, match=key):
        REFERENCE_PROFILE.value(content)


def test_tampered_counts_are_refused(table):
    content = REFERENCE_PROFILE.content(build(table, REQUEST)[0])
    content["features"][0]["counts"]["bins"][0] += 1
    with pytest.raises(DataError, match="lost or counted twice"):
        REFERENCE_PROFILE.value(content)


def test_no_rows_is_an_error():
    with pytest.raises(DataError, match="received none"):
        build(pa.table({"x": pa.array([], pa.float64())}), ProfileRequest())


@pytest.mark.parametrize("wrong", [{"label": "early"}, {"score": "words"}])
def test_a_label_or_score_that_is_not_there_is_an_error(table, wrong):
    with pytest.raises(DataError, match="with one value a row"):
        build(table, ProfileRequest(**wrong))


@pytest.mark.parametrize("rows", [0, 20_001])
def test_the_sample_has_limits(rows):
    with pytest.raises(ConfigError, match="from 1 to 20,000"):
        ProfileRequest(sample_rows=rows)


def test_a_label_of_several_values_a_row_is_refused_with_what_to_do():
    ranked = pa.table({"x": [1.0, 2.0], "relevance": [[1.0, 0.0], [0.0, 2.0]]})
    with pytest.raises(DataError, match=r"received several, as in rankings .* Leave label_key out"):
        build(ranked, ProfileRequest(label="relevance"))
    profile, _ = build(ranked, ProfileRequest(ignore_features=("relevance",)))
    assert [feature.name for feature in profile.features] == ["x"]


def test_labels_that_are_not_0_and_1_have_no_positive_rate():
    profile, _ = build(pa.table({"x": [1.0, 2.0], "y": [0.0, 2.0]}), ProfileRequest(label="y"))
    assert profile.positive_rate is None


def test_a_feature_of_an_impossible_kind_is_named():
    with pytest.raises(DataError, match=r"'when'.*timestamp"):
        build(pa.table({"when": pa.array([0], pa.timestamp("ms"))}), ProfileRequest())
