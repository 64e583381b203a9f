"""Does the server see what training saw, for the same rows?"""
