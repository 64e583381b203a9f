"""Which rows does a file hold? Parquet, CSV and TFRecords of tf.Examples, read in batches."""
