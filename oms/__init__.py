"""The order management system: cancel every open order on every venue, and prove it."""

from oms.order_manager import OrderManager
from oms.results import SweepResult, VenueVerdict

__all__ = ["OrderManager", "SweepResult", "VenueVerdict"]
