"""For authors of backends and exporters: programs to try, and checks of everything that is promised."""

from strl.testing.borders import check_exporter
from strl.testing.conformance import check_backend, check_program
from strl.testing.programs import KINDS, random_program, random_spikes

__all__ = ["KINDS", "check_backend", "check_exporter", "check_program", "random_program", "random_spikes"]
