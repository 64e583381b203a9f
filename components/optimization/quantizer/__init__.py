"""Which is the smallest (or fastest) quantised form of a model that keeps to a stated budget?"""
