"""Serialised tf.Examples of a few features."""


def example_bytes(**features: list) -> bytes:
    """Returns a tf.Example; bytes, whole numbers and fractions go where they belong."""
    import tensorflow as tf

    example = tf.train.Example()
    for name, values in features.items():
        feature = example.features.feature[name]
        if values and isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif all(isinstance(value, int) for value in values):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return example.SerializeToString()
