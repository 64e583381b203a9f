"""Made `tiny_int8.tflite`: run this file again to make it anew.

    python tests/make_tiny_model.py

It is kept, 2 KB, so that the tests of bundles need no TensorFlow.
"""

from pathlib import Path

FILE = Path(__file__).with_name("tiny_int8.tflite")


def main() -> None:
    import numpy as np
    import tensorflow as tf

    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    class Tiny(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 4], tf.float32, name="x")])
        def serve(self, x):
            return {"scores": tf.matmul(x, weights)}

    module = Tiny()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serve.get_concrete_function()], module
    )
    rows = np.random.default_rng(1).uniform(-1, 1, (50, 1, 4)).astype(np.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row] for row in rows)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    FILE.write_bytes(converter.convert())


if __name__ == "__main__":
    main()
