"""People are told: what alerts, to whom, and that it arrived or did not."""
