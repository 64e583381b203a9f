"""The closed compiler: found, run, its log read, its output checked."""
