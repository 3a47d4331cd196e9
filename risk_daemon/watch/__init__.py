"""The second process: it looks at what a guard leaves in its state directory, and says when something is wrong."""
