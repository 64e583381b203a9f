"""`loop monitor` in a process of its own starts without what it has no use for."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from monitored_files import frame, save

STARTED = """
import sys
sys.argv = ["loop", "monitor", *sys.argv[1:]]
from tfx_loop.pipelines.cli.main import main
code = main()
heavy = ("pandas", "tensorflow", "tfx", "scipy.optimize", "scipy.stats", "rich", "sqlite3")
print([name for name in heavy if sys.modules.get(name)], file=sys.stderr)
sys.exit(code)
"""


def started(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STARTED, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_nothing_is_imported_that_nothing_needs(tmp_path, kind):
    files = save(frame(0), tmp_path, "a", kind), save(frame(1), tmp_path, "b", kind)
    page = tmp_path / "page.html"
    found = started("--reference", files[0], "--current", files[1], "--page", page)
    assert found.stdout.startswith("STABLE: None of 7 features drifted")
    assert (found.returncode, found.stderr) == (0, "[]\n")
    assert page.exists()


@pytest.mark.slow
@pytest.mark.tensorflow
def test_tfrecords_are_read_by_tensorflow_which_brings_pandas(tmp_path):
    import tensorflow as tf

    path = str(tmp_path / "rows.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for value in np.random.default_rng(0).normal(size=300):
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            features = tf.train.Features(feature={"x": feature})
            writer.write(tf.train.Example(features=features).SerializeToString())
    found = started("--reference", path, "--current", path)
    assert found.stdout.startswith("STABLE: None of 1 features drifted"), found.stderr


def test_a_table_of_pandas_is_still_one_where_pandas_came_first():
    import tfx_loop

    content = pd.DataFrame({"x": pd.array([1, 2, None] * 100, dtype="Int64")})
    assert tfx_loop.monitor(content, content).features[0].missing_share == pytest.approx(1 / 3)
