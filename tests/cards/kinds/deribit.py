"""Deribit: one account, one wallet for each currency."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

VENUE = CardVenue(
    kind="deribit",
    markets=frozenset({Market.SPOT, Market.PERP}),
    symbols=("BTC/USDC:USDC", "BTC/USD:BTC", "SOL/USDC:USDC"),
    conditional=(
        {"type": "stop_loss"},
        {"type": "take_profit"},
        {"type": "stop_loss_limit", "price": "1"},
        {"type": "trailing_stop", "reduce_only": True},
    ),
    perp="BTC/USDC:USDC",
    inverse="BTC/USD:BTC",
    outside=("main", "subaccount"),
    balance_field="balance",
    position_field="size",
    key_tells=True,
    flow_kinds=("transfer", "sub_transfer", "internal"),
    # One cancel that reaches all, and one listing in each of three rounds.
    least_calls=4,
    troubles={
        "withdrawn key": Trouble(text="13004 invalid_credentials", becomes=VenueRejected),
        "a clock that is off": Trouble(text="13009 unauthorized", becomes=VenueUnavailable),
        "missing permission": Trouble(text="13021 forbidden", becomes=VenueRejected),
        "too many calls": Trouble(text="10028 too_many_requests", becomes=VenueUnavailable),
        "settlement": Trouble(text="10041 settlement_in_progress", becomes=VenueUnavailable),
        "maintenance": Trouble(text="11051 system_maintenance", becomes=VenueUnavailable),
        "busy": Trouble(text="13028 temporarily_unavailable", becomes=VenueUnavailable),
    },
)
