"""The demo and the drill: the daemon on simulated venues."""
