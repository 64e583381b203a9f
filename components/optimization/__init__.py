"""What may an optimiser lose, what did it gain, and how is that measured, written down and shown?"""
