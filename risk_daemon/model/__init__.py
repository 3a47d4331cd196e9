"""The words that all rooms share. It imports nothing of the others."""
