"""For authors of backends: programs to try and a check of everything a backend promises."""

from strl.testing.programs import random_program, random_spikes

__all__ = ["random_program", "random_spikes"]
