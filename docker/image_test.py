"""Runs a node in the image as KFP's launcher does; runs inside it, as the image's own user.

The entry point is called with what KFP's driver hands over (no types of inputs, `minio://`), TFX's
own StatisticsGen works on examples that lie where the launcher would have copied them, and the
record of the node is read back.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

started = time.monotonic()
assert os.geteuid() != 0, "the image's user is no root"
for compiler in ("g++", "gcc"):
    assert not shutil.which(compiler), "no compiler in the image"
for name in ("tensorflow", "tfx", "tfx_loop"):
    [found] = {
        path.parent
        for path in pathlib.Path(sys.prefix).glob(f"lib/*/site-packages/{name}/__init__.py")
    }
    assert list(found.glob("__pycache__/*.pyc")), f"{name} was compiled when the image was built"

import tensorflow as tf  # noqa: E402

bucket = pathlib.Path("/minio/bucket/run")
folder = bucket / "examples" / "Split-train"
folder.mkdir(parents=True)
options = tf.io.TFRecordOptions(compression_type="GZIP")
with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001.gz"), options) as writer:
    for number in range(100):
        feature = tf.train.Feature(float_list=tf.train.FloatList(value=[number / 7]))
        features = tf.train.Features(feature={"delay": feature})
        writer.write(tf.train.Example(features=features).SerializeToString())

examples = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
statistics = {"instanceSchema": "title: tfx.ExampleStatistics\ntype: object\n"}
metadata = {"split_names": '["train"]', "file_format": "tfrecords_gzip"}
metadata["payload_format"] = "FORMAT_TF_EXAMPLE"
call = {
    "inputs": {
        "artifacts": {
            "examples": {
                "artifacts": [
                    {"name": "1", "uri": "minio://bucket/run/examples", "metadata": metadata}
                ]
            }
        },
        "parameterValues": {"exclude_splits": "[]"},
    },
    "outputs": {
        "artifacts": {
            "statistics": {
                "artifacts": [
                    {"name": "statistics", "uri": "minio://bucket/run/out", "type": statistics}
                ]
            }
        },
        "outputFile": str(bucket / "output_metadata.json"),
    },
}
declared = {
    "artifacts": {"examples": {"artifactType": examples}},
    "parameters": {"exclude_splits": {"parameterType": "STRING"}},
}
command = [
    *("python", "-m", "tfx_loop.pipelines.runners.kubeflow_entry"),
    *("--executor_class_path", "tfx.components.statistics_gen.executor.Executor"),
    *("--json_serialized_invocation_args", json.dumps(call)),
    *("--json_serialized_inputs_spec_args", json.dumps(declared)),
    *("--runner=FnApiRunner", "--sdk_container_image=unused"),
    *("--loop_node=StatisticsGen", "--loop_type=tfx.components.StatisticsGen"),
    *(f"--loop_record={bucket}/records", "--loop_run=image-test"),
]
ran = subprocess.run(command, capture_output=True, text=True)
assert ran.returncode == 0, ran.stderr[-3000:]
[told] = json.loads((bucket / "output_metadata.json").read_text())["artifacts"]["statistics"][
    "artifacts"
]
assert told["uri"] == "minio://bucket/run/out", told
assert list((bucket / "out" / "Split-train").iterdir())
record = json.loads((bucket / "records" / "StatisticsGen.json").read_text())
assert (record["end"], record["run_id"]) == ("COMPLETE", "image-test"), record
print(f"StatisticsGen ran in the image, as {os.geteuid()}: {time.monotonic() - started:.0f} s")
