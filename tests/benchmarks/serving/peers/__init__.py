"""The same model behind other servers; each file is a server of its own environment."""
