"""Folders of what a server writes, looked at before it starts."""

import pytest

from tfx_loop.deployment.server_access.confinement import folder_of


def test_the_folder_of_a_file_is_made(tmp_path):
    assert folder_of(str(tmp_path / "a/b/ready.json"), "--ready_file") == str(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    assert folder_of(None, "--ready_file") is None


def test_a_file_that_cannot_be_written_is_told_by_its_flag(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file/ready.json", tmp_path):
        with pytest.raises(RuntimeError, match=r"--ready_file=.* cannot be written"):
            folder_of(str(path), "--ready_file")
