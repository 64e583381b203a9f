"""Models that conformance with TF Serving is asked of: half_plus_two, and one of many signatures.

half_plus_two is a graph of TensorFlow 1 like that of TF Serving's own tests: it declares [?, 1] and
takes any shape, and has signatures for Predict, Classify and Regress. The other has a signature for
each type and shape that a case needs.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

TYPES = (
    "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool", "string",
)  # fmt: skip


def save_half_plus(path: Path, add: float = 2.0) -> None:
    """Saves y = x / 2 + add."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    with tf1.Session(graph=tf1.Graph()) as session:
        half = tf1.get_variable("a", initializer=0.5, use_resource=True)
        more = tf1.get_variable("b", initializer=add, use_resource=True)
        examples = tf1.placeholder(tf.string, shape=[None], name="tf_example")
        parsed = tf1.io.parse_example(examples, {"x": tf1.io.FixedLenFeature([1], tf.float32)})
        x = tf1.identity(parsed["x"], name="x")
        y = tf1.add(half * x, more, name="y")
        two = tf1.concat([y, y + 1.0], axis=1, name="two")
        names = tf1.fill([tf1.shape(examples)[0], 2], "", name="no_names")
        labels = tf1.add(names, tf1.constant([["low", "high"]]), name="labels")
        session.run(tf1.global_variables_initializer())

        def signature(inputs: dict, outputs: dict, method: str) -> object:
            info = tf1.saved_model.utils.build_tensor_info
            return tf1.saved_model.signature_def_utils.build_signature_def(
                {name: info(tensor) for name, tensor in inputs.items()},
                {name: info(tensor) for name, tensor in outputs.items()},
                f"tensorflow/serving/{method}",
            )

        signatures = {
            "serving_default": signature({"x": x}, {"y": y}, "predict"),
            "regress_x_to_y": signature({"inputs": examples}, {"outputs": y}, "regress"),
            "tensorflow/serving/regress": signature(
                {"inputs": examples}, {"outputs": y}, "regress"
            ),
            "classify_x_to_y": signature({"inputs": examples}, {"scores": y}, "classify"),
            "classify_labels": signature(
                {"inputs": examples}, {"classes": labels, "scores": two}, "classify"
            ),
            "classes_only": signature({"inputs": examples}, {"classes": labels}, "classify"),
            "regress_two": signature({"inputs": examples}, {"outputs": two}, "regress"),
            "regress_as_predict": signature({"inputs": examples}, {"outputs": y}, "predict"),
            "regress_other_input": signature({"examples": examples}, {"outputs": y}, "regress"),
            "regress_other_output": signature({"inputs": examples}, {"y": y}, "regress"),
        }
        builder = tf1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map=signatures, strip_default_attrs=True
        )
        builder.save()


def save_many_signatures(path: Path) -> None:
    """Saves a model with a signature for each type and shape."""
    import tensorflow as tf

    def spec(name: str, shape: list | None, dtype: str = "float32") -> tf.TensorSpec:
        return tf.TensorSpec(shape, dtype, name=name)

    def made(answer: object, *inputs: tf.TensorSpec) -> object:
        return tf.function(answer, input_signature=list(inputs), autograph=False)

    def same(x: object) -> dict:
        return {"y": tf.identity(x)}

    row = spec("x", [None])
    signatures = {f"id_{kind}": made(same, spec("x", [None], kind)) for kind in TYPES}
    signatures |= {
        "serving_default": made(lambda x: {"y": x * 0.5 + 2.0}, row),
        "any_rank": made(same, spec("x", None)),
        "any_rank_text": made(same, spec("x", None, "string")),
        "any_rank_whole": made(same, spec("x", None, "int32")),
        "two_texts": made(
            lambda s: {"text": tf.identity(s), "raw_bytes": tf.identity(s)},
            spec("s", [None], "string"),
        ),
        "only_bytes": made(lambda s: {"raw_bytes": tf.identity(s)}, spec("s", [None], "string")),
        "several": made(
            lambda a, b: {"a2": a * 2.0, "b": tf.identity(b)},
            spec("a", [None]),
            spec("b", [None, 2], "int32"),
        ),
        "weights": made(
            lambda x, w: {"y": tf.linalg.matvec(x, w)}, spec("x", [None, 3]), spec("w", [3])
        ),
        "times": made(lambda x, k: {"y": x * k}, row, spec("k", [])),
        "scalar": made(lambda k: {"y": k * 2.0}, spec("k", [])),
        "mean": made(lambda x: {"m": tf.reduce_mean(x)}, row),
        "unlike": made(lambda x: {"y": x + 0.0, "names": tf.constant(["a", "b", "c"])}, row),
        "image": made(
            lambda i: {"mean": tf.reduce_mean(tf.cast(i, tf.float32), [1, 2, 3])},
            spec("i", [None, 2, 2, 3], "uint8"),
        ),
        "sequence": made(lambda t: {"n": tf.reduce_sum(t, 1)}, spec("t", [None, None])),
        "complex": made(lambda x: {"y": tf.complex(x, x)}, row),
        "three": made(lambda x: {"y": x * 2.0}, spec("x", [3])),
        "finite": made(lambda x: {"y": tf.debugging.check_numerics(x, "not finite")}, row),
        "gather": made(
            lambda i: {"y": tf.gather(tf.constant([1.0, 2.0, 3.0]), i)}, spec("i", [None], "int32")
        ),
        "dense": made(lambda x: {"y": tf.matmul(x, tf.ones([1, 2]))}, spec("x", [None, 1])),
    }
    module = tf.Module()
    tf.saved_model.save(module, str(path), signatures=signatures)
