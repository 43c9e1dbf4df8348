"""One self-contained HTML page of runs and comparisons."""

from strl.report.data import Chapter, Core, Difference, Divergence, Energy, Run, difference_of, run_of
from strl.report.page import page

__all__ = ["Chapter", "Core", "Difference", "Divergence", "Energy", "Run", "difference_of", "page", "run_of"]
