"""Who may send which order: restraints, halts, limits before the trade, and what bots did."""
