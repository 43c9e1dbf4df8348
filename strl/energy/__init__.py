"""What happened on the chip, and what it costs: counts × constants → joules with a band."""

from strl.energy.activity import ActivityCounts, Wiring
from strl.energy.estimate import EnergyReport, Interval, estimate, profiles

__all__ = ["ActivityCounts", "EnergyReport", "Interval", "Wiring", "estimate", "profiles"]
