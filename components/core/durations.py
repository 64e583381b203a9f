"""Lengths of time in milliseconds, the unit of all times that are stored."""

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR
