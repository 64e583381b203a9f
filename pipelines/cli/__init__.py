"""The command `loop`: a module a subcommand, and what they share."""
