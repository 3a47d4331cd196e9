"""Kraken spot and margin."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

VENUE = CardVenue(
    kind="kraken",
    markets=frozenset({Market.SPOT, Market.MARGIN}),
    symbols=("BTC/USDT", "ETH/USDT", "SOL/USD"),
    conditional=(
        {"type": "stop_loss"},
        {"type": "stop_loss_limit", "price": "1"},
        {"type": "take_profit"},
        {"type": "stop_loss", "leveraged": True},
    ),
    perp="BTC/USDT",
    marks_protective=False,
    position_field="vol",
    # One cancel, and one listing in each of three rounds.
    least_calls=4,
    troubles={
        "withdrawn key": Trouble(text="EAPI:Invalid key", becomes=VenueRejected),
        "wrong signature": Trouble(text="EAPI:Invalid signature", becomes=VenueRejected),
        "missing permission": Trouble(text="EGeneral:Permission denied", becomes=VenueRejected),
        "maintenance": Trouble(text="EService:Unavailable", becomes=VenueUnavailable),
        "a clock that is off": Trouble(text="EAPI:Invalid nonce", becomes=VenueUnavailable),
        "too many calls": Trouble(text="EAPI:Rate limit exceeded", becomes=VenueUnavailable),
    },
)
