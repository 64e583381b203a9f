"""A model that its owner lets write, past the guard: the kernel holds the server back."""

import hostile_parts
import pytest
import tensorflow as tf
from server_process import ServerProcess

from tfx_loop.core.errors import ServingError

pytestmark = [pytest.mark.e2e, pytest.mark.tensorflow]


@pytest.mark.parametrize("unconfined", [False, True])
def test_a_model_writes_beside_the_server_s_folders_only_where_that_is_said(
    tmp_path, monkeypatch, unconfined
):
    for folder in ("model", "scratch", "tmp"):
        (tmp_path / folder).mkdir()
    harm = hostile_parts.harm_of(tmp_path / "model")
    saved = hostile_parts.saved(harm.parent, lambda x: tf.io.write_file(str(harm), "harm"))
    (tmp_path / "base").mkdir()
    saved.rename(tmp_path / "base" / "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    server = ServerProcess(
        tmp_path / "base", tmp_path / "scratch", tmp_path / "log", allow="WriteFile"
    )
    if unconfined:
        server.flags["unconfined"] = None
    server.start()
    try:
        asked = {"instances": [{"x": [1.0, 2.0, 3.0]}]}
        if unconfined:
            server.client().predict(**asked)
        else:
            with pytest.raises(ServingError, match="The model failed"):
                server.client().predict(**asked)
    finally:
        server.stop()
    assert harm.exists() == unconfined
