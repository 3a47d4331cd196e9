"""The whole guard against simulated venues, on virtual time."""
