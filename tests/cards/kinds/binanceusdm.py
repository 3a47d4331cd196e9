"""Binance's futures in dollars."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

TROUBLES = {
    "withdrawn key": Trouble(text="-2015 Invalid API-key, IP, or permissions for action.", becomes=VenueRejected),
    "wrong signature": Trouble(text="-1022 Signature for this request is not valid.", becomes=VenueRejected),
    "a clock that is off": Trouble(
        text="-1021 Timestamp for this request is outside of the recvWindow.", becomes=VenueUnavailable
    ),
    "too many calls": Trouble(text="-1003 Too much request weight used; IP banned.", becomes=VenueUnavailable),
    "overloaded": Trouble(
        text="-1008 Server is currently overloaded with other requests. Please try again.", becomes=VenueUnavailable
    ),
    "nobody knows": Trouble(
        text="-1007 Timeout waiting for response from backend server. Send status unknown.", becomes=VenueUnavailable
    ),
    "maintenance": Trouble(text="1 System is under maintenance.", becomes=VenueUnavailable),
}
_MAJORS = "BTC ETH SOL XRP ADA DOGE LTC BCH DOT LINK AVAX ATOM XLM XMR ZEC ETC TRX UNI AAVE ALGO NEAR APT ARB OP FIL"

VENUE = CardVenue(
    kind="binanceusdm",
    markets=frozenset({Market.PERP}),
    symbols=("BTC/USDT:USDT", "ETH/USDT:USDT", "\u5e01\u5b89\u4eba\u751f/USDT:USDT"),
    conditional=(
        {"type": "stop_loss"},
        {"type": "stop_loss_limit", "price": "1"},
        {"type": "take_profit"},
        {"type": "trailing_stop"},
        {"type": "stop_loss", "close_position": True},
        {"type": "stop_loss", "reduce_only": True},
    ),
    thirty=tuple(f"{base}/USDT:USDT" for base in [*_MAJORS.split(), "TON", "SUI", "BNB", "PAXG", "XAU"]),
    strategies=("twap", "vp"),
    perp="BTC/USDT:USDT",
    outside=("um", "spot"),
    # Three listings in each of three rounds; a cancel of each book for each of three symbols.
    least_calls=15,
    hedged=True,
    debt=("ETH", None),
    position_field="positionAmt",
    key_tells=True,
    flow_kinds=("transfer", "sub_transfer", "rebate", "airdrop", "interest"),
    troubles=TROUBLES,
)
