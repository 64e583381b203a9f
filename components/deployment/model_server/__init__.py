"""A TF Serving compatible model server for one machine, which logs every answer."""
