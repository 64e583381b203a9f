"""The flights' network trained ten times too long, for Trainer by its import path."""

from typing import Any

import tf_keras as keras

from tfx_loop.pipelines.examples.flights import model

_EPOCHS = 60


def run_fn(fn_args: Any) -> None:
    """Trains as the example does, without stopping early, and leaves its learning curve."""
    sound = model.train

    def too_long(features: Any, labels: Any, vocabulary_size: int, seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        # Wide enough to learn its rows by heart.
        network = _wide(model.build(vocabulary_size))
        network.fit(
            features,
            labels,
            batch_size=128,
            epochs=_EPOCHS,
            verbose=0,
            validation_split=0.1,
            callbacks=[keras.callbacks.TensorBoard(fn_args.model_run_dir)],
        )
        return network

    model.train = too_long
    try:
        model.run_fn(fn_args)
    finally:
        model.train = sound


def _wide(small: keras.Model) -> keras.Model:
    joined = next(layer for layer in small.layers if isinstance(layer, keras.layers.Concatenate))
    hidden = joined.output
    for units in (256, 256):
        hidden = keras.layers.Dense(units, activation="relu")(hidden)
    score = keras.layers.Dense(1, activation="sigmoid", name=model.SCORE)(hidden)
    wide = keras.Model(small.inputs, score)
    wide.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    return wide
