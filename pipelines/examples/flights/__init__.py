"""The worked example: flights that leave New York more than 15 minutes late."""
