"""Lifecycle and wiring: what is put together from the configuration, started, finished, checked and reset."""
