"""Work that may abort, hang or leak, in a process of its own."""
