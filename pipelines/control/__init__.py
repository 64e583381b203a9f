"""The control process: what it remembers, and the rules by which it lets a retraining start."""
