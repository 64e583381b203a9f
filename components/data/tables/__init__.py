"""Tables of rows in files: Parquet, CSV and TFRecords of tf.Examples, read in batches."""
