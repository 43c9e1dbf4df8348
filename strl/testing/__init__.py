"""For authors of backends: programs to try and a check of everything a backend promises."""

from strl.testing.conformance import check_backend, check_program
from strl.testing.programs import random_program, random_spikes

__all__ = ["check_backend", "check_program", "random_program", "random_spikes"]
