"""The running daemon: decisions carried out, its own upkeep, its tasks."""
