"""The worked example: will this flight leave New York more than 15 minutes late?"""
