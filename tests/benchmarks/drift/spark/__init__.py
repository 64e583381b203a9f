"""Does the window profile run unchanged on a Spark cluster, and from how many rows does it pay?"""
