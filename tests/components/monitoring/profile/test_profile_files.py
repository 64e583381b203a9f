"""Profiles in files: read as they were written, and refused in one line."""

import stat

import numpy as np
import pyarrow as pa
import pytest

from tfx_loop.core.errors import DataError
from tfx_loop.monitoring.profile import profile_files
from tfx_loop.monitoring.profile.build import ProfileRequest, build
from tfx_loop.monitoring.profile.reference import REFERENCE_PROFILE, SAMPLE_FILE
from tfx_loop.monitoring.profile.training_counts import COUNTS_FILE, training_counts


@pytest.fixture
def reference():
    random = np.random.default_rng(0)
    table = pa.table({"x": random.normal(size=500), "city": random.choice(list("abc"), 500)})
    profile, sample = build(table, ProfileRequest(slices=("city",)))
    return profile_files.StoredReference(profile, training_counts(table, profile), sample)


def test_a_reference_comes_back_as_it_was_saved(reference, tmp_path):
    profile_files.save_reference(reference, str(tmp_path))
    found = profile_files.load_reference(str(tmp_path), with_sample=True)
    assert found.profile == reference.profile
    assert found.counts.cells == reference.counts.cells
    assert found.sample.equals(reference.sample)
    assert profile_files.load_reference(str(tmp_path)).sample is None


def test_files_with_rows_are_their_owner_s_alone(reference, tmp_path):
    profile_files.save_reference(reference, str(tmp_path / "reference"))
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "reference").iterdir()
    }
    assert modes.pop("reference_profile.json") == 0o644
    assert len(modes) == 2
    assert set(modes.values()) == {0o600}


def test_a_folder_is_a_reference_once_it_has_a_profile(reference, tmp_path):
    assert not profile_files.is_reference(str(tmp_path))
    profile_files.save_reference(reference, str(tmp_path))
    assert profile_files.is_reference(str(tmp_path))


@pytest.mark.parametrize("name", [SAMPLE_FILE, REFERENCE_PROFILE.name, COUNTS_FILE])
def test_a_file_that_is_cut_off_is_a_clear_error(reference, tmp_path, name):
    profile_files.save_reference(reference, str(tmp_path))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"Expected .* received"):
        profile_files.load_reference(str(tmp_path), with_sample=True)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"Expected .* found none"):
        profile_files.load_reference(str(tmp_path), with_sample=True)
