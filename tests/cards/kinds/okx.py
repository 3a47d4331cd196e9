"""OKX: one trading account for all markets."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

_CODES = {"50119": "withdrawn key", "50113": "wrong signature", "50105": "wrong passphrase"}
_CODES |= {"50120": "missing permission", "50110": "an address that is not bound"}
_LATER = {"50001": "maintenance", "50013": "busy", "50026": "system error", "50102": "a clock that is off"}
_LATER |= {"50011": "too many calls"}

VENUE = CardVenue(
    kind="okx",
    markets=frozenset({Market.SPOT, Market.MARGIN, Market.PERP}),
    symbols=("BTC/USDT", "BTC/USDT:USDT", "SOL/USDT"),
    conditional=(
        {"type": "stop_loss"},
        {"type": "take_profit", "book": "oco"},
        {"type": "stop_loss", "book": "trigger"},
        {"type": "trailing_stop"},
    ),
    thirty=tuple(f"SYN{number:03d}/USDT" for number in range(30)),
    strategies=(
        *("twap", "iceberg", "smart_iceberg", "chase"),
        *("grid", "contract_grid", "moon_grid", "spot_dca", "contract_dca", "recurring", "signal"),
    ),
    perp="BTC/USDT:USDT",
    inverse="BTC/USD:BTC",
    outside=("trading", "funding"),
    debt=("BTC", None),
    hedged=True,
    balance_field="cashBal",
    position_field="pos",
    key_tells=True,
    flow_kinds=("sub_transfer", "rebate", "airdrop"),
    # 16 listings and two more pages of plain orders to find them, 17 cancels (13 of 20; 2, 1 and 1 of 10), and 16
    # listings in each of three rounds.
    least_calls=83,
    troubles={
        **{name: Trouble(text=code, becomes=VenueRejected) for code, name in _CODES.items()},
        **{name: Trouble(text=code, becomes=VenueUnavailable) for code, name in _LATER.items()},
    },
)
