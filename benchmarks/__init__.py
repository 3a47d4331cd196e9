"""Ratios measured in one run; absolute times on shared machines are noise."""
