"""Exchange accounts. For a program of one's own: `venue_adapter`, and three by their names.

ccxt is imported only when one is made.
"""

from adapters.program import KrakenPerpAdapter, KrakenSpotAdapter, MexcSpotAdapter, venue_adapter

__all__ = ["KrakenPerpAdapter", "KrakenSpotAdapter", "MexcSpotAdapter", "venue_adapter"]
