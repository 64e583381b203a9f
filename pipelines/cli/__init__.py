"""The loop command and its subcommands."""
