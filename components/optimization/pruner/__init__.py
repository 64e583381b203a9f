"""How does a network lose weights, and its values, without losing what it knows?"""
