"""What may an optimiser lose, what did it gain, and how is that measured and shown?"""
