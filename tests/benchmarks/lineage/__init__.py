"""How long the commands take in a large store of ML Metadata."""
