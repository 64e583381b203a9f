"""The commands of `loop`, one a module: its arguments and what it runs."""
