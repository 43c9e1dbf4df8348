"""The chip as data, the program placed on it, and the door to whatever runs it."""

from strl.chip.backend import Backend, Counts, Decision, Session, backend, backends
from strl.chip.program import Part, Program
from strl.chip.spec import ChipSpec, Figure, chip, chips

__all__ = [
    "Backend",
    "ChipSpec",
    "Counts",
    "Decision",
    "Figure",
    "Part",
    "Program",
    "Session",
    "backend",
    "backends",
    "chip",
    "chips",
]
