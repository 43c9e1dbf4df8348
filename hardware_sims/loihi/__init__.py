"""The Loihi of 2018, simulated: its definition, and the kernel that equals it."""

from hardware_sims.loihi.backend import LoihiBackend
from hardware_sims.loihi.definition import DefinitionBackend

__all__ = ["DefinitionBackend", "LoihiBackend"]
