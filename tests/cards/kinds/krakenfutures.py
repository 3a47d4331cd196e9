"""Kraken Futures."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

VENUE = CardVenue(
    kind="krakenfutures",
    markets=frozenset({Market.PERP}),
    symbols=("BTC/USD:USD", "ETH/USD:USD", "SOL/USD:USD"),
    conditional=({"type": "stop_loss"}, {"type": "take_profit"}, {"type": "stop_loss", "reduce_only": True}),
    perp="BTC/USD:USD",
    inverse="BTC/USD:BTC",
    pegs={"USD": "1", "BTC": "60000"},
    balance_field="quantity",
    position_field="size",
    least_calls=4,
    troubles={
        "withdrawn key": Trouble(text="authenticationError", becomes=VenueRejected),
        "missing permission": Trouble(text="authenticationError", becomes=VenueRejected),
        "a clock that is off": Trouble(text="nonceBelowThreshold", becomes=VenueUnavailable),
        "too many calls": Trouble(text="apiLimitExceeded", becomes=VenueUnavailable),
        "maintenance": Trouble(text="serverUnavailable", becomes=VenueUnavailable),
    },
)
