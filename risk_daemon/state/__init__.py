"""The state directory: what is remembered, locked and written down."""
