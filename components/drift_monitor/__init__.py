"""What moved between a model's training rows and a window of its predictions?"""
