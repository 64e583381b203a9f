"""Why does each model exist, and what happened to it? Read from MLMD alone, never written."""
