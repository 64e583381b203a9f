"""A small LSTM as Keras has it and as a .tflite file of fused operators, which keep state."""

import numpy as np

STEPS, FEATURES = 6, 3


def lstm_model(seed=3):
    """Returns an untrained model whose answers differ clearly from row to row."""
    import tf_keras as keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((STEPS, FEATURES), name="steps"),
            layers.LSTM(5, recurrent_initializer="glorot_uniform"),
            layers.Dense(2, activation="softmax", kernel_initializer="random_normal"),
        ]
    )


def sequences(rows, seed=0):
    random = np.random.default_rng(seed)
    return (2 * random.normal(size=(rows, STEPS, FEATURES))).astype("float32")


def lstm_tflite(model, calibration=None):
    """Returns the file as TensorFlow's own converter makes it: batch 1; int8 with rows."""
    import tensorflow as tf

    spec = tf.TensorSpec([1, STEPS, FEATURES], tf.float32, name="steps")
    function = tf.function(lambda steps: model(steps, training=False)).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()
