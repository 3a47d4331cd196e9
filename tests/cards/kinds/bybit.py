"""Bybit: one unified account, one market of each category."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

VENUE = CardVenue(
    kind="bybit",
    markets=frozenset({Market.SPOT, Market.MARGIN, Market.PERP}),
    symbols=("BTC/USDT:USDT", "ETH/USDT", "SOL/USD:SOL"),
    # Not among them: OCO and two-sided orders of spot, which the venue lets nobody cancel by their ids.
    conditional=(
        {"type": "stop_loss"},
        {"type": "take_profit", "reduce_only": True},
        {"type": "stop_loss_limit", "price": "1", "book": "tpslOrder"},
        {"type": "trailing_stop"},
    ),
    strategies=("twap", "chaseOrder", "iceberg", "pov"),
    hidden=("grid",),
    perp="BTC/USDT:USDT",
    inverse="BTC/USD:BTC",
    wallet="UNIFIED",
    outside=("UNIFIED", "FUND"),
    debt=("USDT", "UNIFIED"),
    hedged=True,
    key_tells=True,
    balance_field="walletBalance",
    position_field="size",
    flow_kinds=("transfer", "sub_transfer", "internal", "airdrop"),
    # Blind: five kinds on spot, two settle coins, inverse, options, spreads. A round lists nine things: strategies by
    # three statuses, spot, two settle coins, inverse, options, spreads.
    least_calls=10 + 3 * 9,
    troubles={
        "withdrawn key": Trouble(text="10003 API key is invalid.", becomes=VenueRejected),
        "wrong signature": Trouble(text="10004 error sign! origin_string[x]", becomes=VenueRejected),
        "missing permission": Trouble(text="10005 Permission denied", becomes=VenueRejected),
        "another address": Trouble(text="10010 Unmatched IP", becomes=VenueRejected),
        "a clock that is off": Trouble(text="10002 invalid request", becomes=VenueUnavailable),
        "too many calls": Trouble(text="10006 Too many visits.", becomes=VenueUnavailable),
        "maintenance": Trouble(text="10016 System error.", becomes=VenueUnavailable),
        "overload": Trouble(text="10000 Server Timeout", becomes=VenueUnavailable),
    },
)
