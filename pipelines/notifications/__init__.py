"""Messages to people: one for each change of a loop's state, to whom they want to be told."""
