"""Binance spot, cross and isolated margin."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

VENUE = CardVenue(
    kind="binance",
    markets=frozenset({Market.SPOT, Market.MARGIN}),
    symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT"),
    conditional=(
        {"type": "stop_loss"},
        {"type": "stop_loss_limit", "price": "1"},
        {"type": "limit", "price": "1", "book": "convert"},
        {"type": "stop_loss", "leveraged": True},
        {"type": "stop_loss", "leveraged": True, "isolated": True},
        {"type": "take_profit"},
    ),
    thirty=tuple(f"SYN{number:03d}/USDT" for number in range(30)),
    strategies=("twap", "vp"),
    hidden=("grid",),
    neutral=("spot", "earn"),
    outside=("spot", "um"),
    debt=("USDT", "cross"),
    balance_field="free",
    marks_protective=False,
    key_tells=True,
    flow_kinds=("sub_transfer", "rebate", "airdrop"),
    # A round of listings: algorithms, Convert, spot, cross, the isolated account and its two pairs. Then three
    # symbols of spot, one of cross, one of an isolated pair, and each of five limit orders of Convert by its id.
    least_calls=3 * 7 + 3 + 1 + 1 + 5,
    troubles={
        "withdrawn key": Trouble(text="-2015 Invalid API-key, IP, or permissions for action.", becomes=VenueRejected),
        "wrong signature": Trouble(text="-1022 Signature for this request is not valid.", becomes=VenueRejected),
        "malformed key": Trouble(text="-2014 API-key format invalid.", becomes=VenueRejected),
        "maintenance": Trouble(text="-1016 This service is no longer available.", becomes=VenueUnavailable),
        "overloaded": Trouble(text="-1008 Server is currently overloaded.", becomes=VenueUnavailable),
        "a clock that is off": Trouble(
            text="-1021 Timestamp for this request is outside of the recvWindow.", becomes=VenueUnavailable
        ),
        "too many calls": Trouble(text="-1003 Too much request weight used.", becomes=VenueUnavailable),
        "nobody knows whether": Trouble(
            text="-1007 Timeout waiting for response from backend server.", becomes=VenueUnavailable
        ),
    },
)
