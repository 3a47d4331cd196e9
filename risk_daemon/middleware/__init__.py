"""Middlewares for somebody else's application: requests that send orders are refused while the gate is shut.

`risk_daemon.middleware.for_aiohttp` and `risk_daemon.middleware.asgi`; the latter needs nothing but the standard
library.
"""
