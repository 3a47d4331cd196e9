"""Binance's futures in coins."""

from adapters.base import Market
from tests.cards.card import CardVenue
from tests.cards.kinds.binanceusdm import TROUBLES

VENUE = CardVenue(
    kind="binancecoinm",
    markets=frozenset({Market.PERP}),
    symbols=("BTC/USD:BTC", "ETH/USD:ETH", "BTC/USD:BTC-310328"),
    conditional=(
        {"type": "stop_loss"},
        {"type": "stop_loss_limit", "price": "1"},
        {"type": "take_profit"},
        {"type": "trailing_stop"},
        {"type": "stop_loss", "close_position": True},
        {"type": "stop_loss", "reduce_only": True},
    ),
    perp="ETH/USD:ETH",
    inverse="BTC/USD:BTC",
    asset="BTC",
    outside=("cm", "spot"),
    # Two listings in each of three rounds; a cancel of each book for each of three symbols.
    least_calls=12,
    hedged=True,
    debt=("ETH", None),
    position_field="positionAmt",
    key_tells=True,
    flow_kinds=("transfer", "sub_transfer", "rebate", "airdrop", "interest"),
    troubles=TROUBLES,
)
