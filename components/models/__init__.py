"""Model files as people deploy them: opened, judged, written and checked in one place."""
