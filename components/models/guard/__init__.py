"""The guard in front of every model file: what opening it would read, write or run, told first."""
