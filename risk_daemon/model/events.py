"""Everything that can happen to the engine, by who says it; what it writes down is in event_names.py.

Inputs are frozen values: what a venue said, what an operator wants, what a sweep found, and time.
"""

from __future__ import annotations

from risk_daemon.model.account import Fill, Flow, Kind, Order, Position, Price, Source
from risk_daemon.model.bot_reports import ErrorKind, ErrorReported, OrderReported, TokenRevoked
from risk_daemon.model.commands import (
    BoardSeen,
    DisableRequested,
    EnableRequested,
    FundBegan,
    FundTold,
    HaltRequested,
    LeaseSeen,
    Noted,
    PeerSeen,
    ReadingsWanted,
    Reconfigured,
    ReleaseRequested,
    ResetRequested,
    StandingTold,
    Started,
    StoreChecked,
    Tick,
    TrippedElsewhere,
)
from risk_daemon.model.event_names import EventName, RiskEvent
from risk_daemon.model.readings import (
    BalancesSeen,
    CancelChecked,
    DeadManAnswered,
    DeadManDisarmed,
    FillsSeen,
    FlowsListed,
    KeyAudited,
    ListingFailed,
    OrdersListed,
    OrdersSeen,
    PositionsSeen,
    PricesSeen,
    StreamConfirmed,
    VenueConnected,
    VenueLost,
)
from risk_daemon.model.sweep_reports import (
    ClosingFinished,
    OrderReplaced,
    PositionClosed,
    SweepFinished,
    VenueProven,
    VenueSwept,
    VenueUnproven,
)

Input = (
    BalancesSeen
    | PositionsSeen
    | PricesSeen
    | FlowsListed
    | OrdersSeen
    | FillsSeen
    | OrdersListed
    | ListingFailed
    | CancelChecked
    | DeadManAnswered
    | KeyAudited
    | StreamConfirmed
    | VenueConnected
    | VenueLost
    | Started
    | Tick
    | StoreChecked
    | LeaseSeen
    | TrippedElsewhere
    | StandingTold
    | FundBegan
    | FundTold
    | ReadingsWanted
    | BoardSeen
    | OrderReported
    | ErrorReported
    | TokenRevoked
    | HaltRequested
    | ReleaseRequested
    | ResetRequested
    | DisableRequested
    | EnableRequested
    | Noted
    | Reconfigured
    | VenueProven
    | VenueUnproven
    | VenueSwept
    | OrderReplaced
    | SweepFinished
    | PositionClosed
    | ClosingFinished
)

__all__ = [
    "BalancesSeen",
    "BoardSeen",
    "CancelChecked",
    "ClosingFinished",
    "DeadManAnswered",
    "DeadManDisarmed",
    "DisableRequested",
    "EnableRequested",
    "ErrorKind",
    "ErrorReported",
    "EventName",
    "Fill",
    "FillsSeen",
    "Flow",
    "FlowsListed",
    "FundBegan",
    "FundTold",
    "HaltRequested",
    "Input",
    "KeyAudited",
    "Kind",
    "LeaseSeen",
    "ListingFailed",
    "Noted",
    "Order",
    "OrderReplaced",
    "OrderReported",
    "OrdersListed",
    "OrdersSeen",
    "PeerSeen",
    "Position",
    "PositionClosed",
    "PositionsSeen",
    "Price",
    "PricesSeen",
    "ReadingsWanted",
    "Reconfigured",
    "ReleaseRequested",
    "ResetRequested",
    "RiskEvent",
    "Source",
    "StandingTold",
    "Started",
    "StoreChecked",
    "StreamConfirmed",
    "SweepFinished",
    "Tick",
    "TokenRevoked",
    "TrippedElsewhere",
    "VenueConnected",
    "VenueLost",
    "VenueProven",
    "VenueSwept",
    "VenueUnproven",
]
