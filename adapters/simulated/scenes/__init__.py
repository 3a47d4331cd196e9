"""One file for each venue that can be simulated: its account as it looks at the start."""
