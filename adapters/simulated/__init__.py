"""Simulated venues: real servers on loopback that speak a venue's own wire formats.

The unmodified ccxt client talks HTTP and websocket to them. What is true inside them is set and
shown through `/_sim/` on the same port.
"""

import base64

API_KEY = "simulated"
API_SECRET = base64.b64encode(b"risk-daemon simulated venue: not a secret, loopback only").decode()
API_PASSPHRASE = "simulated-passphrase"
"""The venues that have none take no notice of it."""
