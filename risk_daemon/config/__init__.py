"""The configuration file: read, checked, and never changed afterwards."""
