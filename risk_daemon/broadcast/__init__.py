"""Other programs hear of a trip: what is broadcast, what is still owed, and how it gets out."""
