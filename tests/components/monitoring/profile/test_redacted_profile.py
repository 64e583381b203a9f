"""Profiles that may be shown: nothing of redacted columns, nothing of few rows, counts kept."""

import json

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.core.redaction import OPEN, Redaction
from tfx_loop.monitoring.profile import profile_files
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.layout import PLAIN
from tfx_loop.monitoring.profile.profiler import Profiler
from tfx_loop.monitoring.profile.redacted import (
    public_profile,
    public_rows,
    public_window,
    with_named_slices,
)
from tfx_loop.monitoring.profile.training_counts import training_counts
from tfx_loop.monitoring.profile.window_json import to_json

ROWS = 1_000


def rows(seed=0, **changed):
    random = np.random.default_rng(seed)
    city = random.choice(["Bern", "Basel"], ROWS).astype(object)
    city[:3] = "Zermatt"
    site = random.choice(["north", "south"], ROWS).astype(object)
    site[5:8] = "cabin"
    columns = {
        "city": city,
        "site": site,
        "salary": random.lognormal(10, 1, ROWS).round(2),
        "zip": random.choice([3000, 3001, 3920], ROWS, p=[0.6, 0.399, 0.001]),
        "x": random.normal(size=ROWS),
    }
    return pa.table({name: pa.array(list(v)) for name, v in {**columns, **changed}.items()})


@pytest.fixture
def redaction(tmp_path):
    hidden = frozenset({"city", "salary", "zip"})
    return Redaction(features=hidden, min_count=5, key_file=str(tmp_path / "key"))


@pytest.fixture(scope="module")
def profile():
    return build(rows(), ProfileRequest(slices=("city", "site")))[0]


def of(profile, name):
    return next(feature for feature in profile.features if feature.name == name)


def test_no_value_of_a_redacted_column_is_shown_and_no_row_is_lost(profile, redaction):
    public = public_profile(profile, redaction)
    text = json.dumps([repr(feature) for feature in public.features] + [repr(public.slices)])
    for value in ("Bern", "Zermatt", "cabin", "3920", "3001"):
        assert value not in text
    salaries = {str(value) for value in rows()["salary"].to_pylist()}
    assert not salaries & {str(edge) for edge in of(public, "salary").bins.edges}
    for feature in public.features:
        counts = feature.counts
        assert sum(counts.bins) + counts.missing == ROWS
        assert len(counts.bins) == len(feature.bins)
    assert of(public, "city").bins.categories[0].startswith("#")
    assert of(public, "city").counts.bins[-1] == 3
    assert set(of(public, "site").bins.categories) == {"north", "south"}
    assert of(public, "x") == of(profile, "x")
    assert public_profile(profile, OPEN) == profile


def test_numbers_keep_their_shape_and_lose_their_scale(profile, redaction):
    whole, public = of(profile, "salary"), of(public_profile(profile, redaction), "salary")
    assert (public.counts.minimum, public.counts.maximum) == (None, None)
    share = np.cumsum(public.counts.bins)[:-1] / ROWS
    true = np.searchsorted(np.sort(rows()["salary"].to_numpy()), public.bins.edges) / ROWS
    assert np.abs(share - true).max() < 0.06
    assert len(public.bins) > len(whole.bins) / 2


def test_a_window_s_json_hides_new_values_and_extremes(profile, redaction):
    new = rows(1, city=["Wall Street 7"] * ROWS, salary=[77_777.77] * ROWS)
    window = Profiler(profile, PLAIN).profile_all(new.to_batches())
    named = with_named_slices(window, profile, redaction)
    text = json.dumps(to_json(public_window(named, redaction)))
    assert "Wall Street" in json.dumps(to_json(window))
    for value in ("Wall Street", "77777", "Bern", "cabin"):
        assert value not in text


def test_a_new_value_is_named_in_json_once_many_of_the_kept_rows_have_it(profile):
    site = ["attic"] * 500 + [f"room {row}" for row in range(500)]
    batch = rows(1, site=site).append_column("request_id", pa.array(map(str, range(ROWS))))
    batch = batch.append_column("instance_index", pa.array([0] * ROWS, pa.int32()))
    window = Profiler(profile, PLAIN).profile_all(batch.to_batches())
    unseen = public_window(window, Redaction(min_count=3)).total("site").unseen
    assert {value for _, value in unseen} == {"attic", "other"}
    assert len(unseen) == len(window.total("site").unseen)


def test_slices_have_the_same_names_in_each_window_and_rare_ones_are_one(profile, redaction):
    names = []
    for seed in (1, 2):
        window = Profiler(profile, PLAIN).profile_all(rows(seed).to_batches())
        named = with_named_slices(window, profile, redaction)
        names.append(named.slices)
        assert named.rows == window.rows
    assert names[0] == names[1]
    assert [name for name in names[0] if name.startswith("site")] == [
        "site=north",
        "site=other",
        "site=south",
    ]


def test_rows_are_hashed_or_left_out(redaction):
    table = rows().select(["city", "site", "salary"])
    public = public_rows(table, redaction)
    assert public.column_names == ["city", "site"]
    assert public.column("site").equals(table.column("site"))
    pairs = set(zip(table["city"].to_pylist(), public["city"].to_pylist(), strict=True))
    assert len(pairs) == 3
    assert all(token.startswith("#") for _, token in pairs)


def test_nodes_read_the_whole_profile_and_everybody_the_other(profile, redaction, tmp_path):
    stored = profile_files.StoredReference(
        profile, training_counts(rows(), profile), rows().select(["x"])
    )
    profile_files.save_reference(stored, str(tmp_path / "r"), redaction)
    assert profile_files.load_profile(str(tmp_path / "r")) == profile
    assert "Bern" not in (tmp_path / "r" / "reference_profile.json").read_text()
    assert (tmp_path / "r" / "reference_profile.whole.json").stat().st_mode & 0o077 == 0
    profile_files.save_reference(stored, str(tmp_path / "open"))
    assert not (tmp_path / "open" / "reference_profile.whole.json").exists()
