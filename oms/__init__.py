"""The order management system: cancel every open order on every venue, prove it, and close positions where asked."""

from oms.order_manager import OrderManager
from oms.results import CloseResult, SweepResult, VenueVerdict

__all__ = ["CloseResult", "OrderManager", "SweepResult", "VenueVerdict"]
