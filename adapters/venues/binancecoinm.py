"""Binance's futures in coins: as those in dollars, under other addresses, and without strategies of the venue's own."""

from __future__ import annotations

from dataclasses import replace

from adapters.cancel_probes import Probe
from adapters.venue import Venue
from adapters.venues import binanceusdm
from adapters.venues.binanceusdm_dialect import COINM, BinanceFuturesDialect

VENUE = Venue(
    exchange="binancecoinm",
    lane_width=32,
    options=binanceusdm.OPTIONS,
    dialect=lambda account, client: BinanceFuturesDialect(account, client, COINM),
    scopes=binanceusdm.books("dapi"),
    replies=binanceusdm.REPLIES,
    pools=(binanceusdm.SAPI, replace(binanceusdm.LISTINGS, default=5.0), binanceusdm.WEIGHTS),
    probe=Probe("dapiPrivateDeleteOrder", {"symbol": "BTCUSD_PERP", "orderId": "1"}),
    codes=binanceusdm.CODES,
    dead_men=(binanceusdm.dead_man("dapi"),),
    key_audit=binanceusdm.KEY_AUDIT,
    unprovable=binanceusdm.VENUE.unprovable,
    fills=binanceusdm.FILLS,
)
