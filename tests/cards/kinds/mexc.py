"""MEXC spot and contracts, guarded together: two houses, five books."""

from adapters.base import Market
from risk_daemon.errors import VenueRejected, VenueUnavailable
from tests.cards.card import CardVenue, Trouble

VENUE = CardVenue(
    kind="mexc",
    markets=frozenset({Market.SPOT, Market.PERP}),
    symbols=("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT"),
    conditional=(
        {"type": "stop_loss", "book": "plan"},
        {"type": "stop_loss", "book": "stop", "reduce_only": True},
        {"type": "trailing_stop", "book": "track"},
        {"type": "take_profit_limit", "price": "1", "book": "plan"},
    ),
    thirty=tuple(f"SYN{number:04d}/USDT" for number in range(30)),
    perp="BTC/USDT:USDT",
    inverse="BTC/USD:BTC",
    neutral=("spot", "contract"),
    hedged=True,
    key_tells=True,
    balance_field="free",
    position_field="holdVol",
    # Cancels: all limit, all plan, all stop, all spot, one pair of what waits on spot, four of the track book by id.
    # A round: five lists and the count; the first has two pages more of limit orders.
    least_calls=9 + 3 * 6 + 2,
    troubles={
        "withdrawn key": Trouble(text="revoked_key", becomes=VenueRejected),
        "wrong signature": Trouble(text="700002 Signature for this request is not valid.", becomes=VenueRejected),
        "wrong signature on contracts": Trouble(text="602 Confirming signature failed", becomes=VenueRejected),
        "missing permission": Trouble(text="read_only_key", becomes=VenueRejected),
        "a foreign address": Trouble(text="700006 IP [1.2.3.4] not in the ip white list", becomes=VenueRejected),
        "a clock that is off": Trouble(
            text="700003 Timestamp for this request is outside of the recvWindow.", becomes=VenueUnavailable
        ),
        "too many calls": Trouble(
            text="510 Requests are too frequent, please try again later!", becomes=VenueUnavailable
        ),
        "maintenance": Trouble(text="604 Sorry, this feature is under maintenance", becomes=VenueUnavailable),
    },
)
