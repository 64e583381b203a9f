"""The prediction record: its columns, its segment files, and the labels that come later."""
