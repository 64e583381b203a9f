"""Examples over the spans given, each span read once."""
