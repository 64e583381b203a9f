"""What does a column look like, as exact counts on bins that were frozen at training time?"""
