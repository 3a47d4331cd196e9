"""How a bot asks the daemon: what it says, what it is told, and the line between. Standard library only."""
