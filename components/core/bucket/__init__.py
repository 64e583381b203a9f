"""Objects of S3 and Google Cloud Storage."""
