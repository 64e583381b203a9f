"""The daemon over thirty simulated days, killed at random points."""
