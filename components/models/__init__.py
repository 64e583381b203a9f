"""Model files in any form: opened, checked, compared and written in one place."""
