"""Versions that are loaded in a child process before they are loaded beside traffic."""

import shutil

import pytest
from server_process import ServerProcess
from tiny_serving_model import save_tiny_model

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow, pytest.mark.slow]


def test_what_fails_in_the_child_is_told_and_what_loads_there_serves(tmp_path):
    save_tiny_model(tmp_path / "base/1")
    server = ServerProcess(tmp_path / "base", tmp_path, max_num_load_retries=0, load_in_child=None)
    server.start()
    (tmp_path / "base/2").mkdir()
    (tmp_path / "base/2/saved_model.pb").write_bytes(b"no graph")
    assert "damaged" in server.wait_for(2, "END", 120)
    assert server.client().predict(
        {"hour": [1], "delay": [1.5], "origin": ["JFK"]}, signature_name="serving_columns"
    )
    shutil.copytree(tmp_path / "base/1", tmp_path / "copy")
    (tmp_path / "copy").rename(tmp_path / "base/3")
    server.wait_for(3, "AVAILABLE", 120)
    assert server.stop() == 0
    assert "version=3 state=loaded_in_child" in server.output.read_text()
