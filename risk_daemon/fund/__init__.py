"""One limit over many guards: budgets that never sum above it, and what all of them have lost together."""
