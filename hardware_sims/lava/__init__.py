"""Lava as a backend: its stock processes (``lava``), or one process of ours (``lava-fused``).

Nothing here imports lava before a program is loaded.
"""

from hardware_sims.lava.fused_backend import LavaFusedBackend
from hardware_sims.lava.stock import LavaBackend

__all__ = ["LavaBackend", "LavaFusedBackend"]
