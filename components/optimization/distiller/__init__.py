"""How does a small network learn from a large one?"""
