"""What does the control process remember, and by which rules does it let a retraining start?"""
