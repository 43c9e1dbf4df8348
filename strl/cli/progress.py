"""Progress of long work on stderr; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strl.loop.results import EpisodeResult


@contextmanager
def episodes_bar(total: int, *, label: str, quiet: bool) -> Iterator[Callable[[EpisodeResult], None]]:
    """A bar that each finished episode moves on, with the mean return so far."""
    from tqdm import tqdm

    returns: list[float] = []
    hidden = quiet or not sys.stderr.isatty()
    with tqdm(total=total, desc=label, unit="episode", file=sys.stderr, disable=hidden, leave=False) as bar:

        def finished(episode: EpisodeResult) -> None:
            returns.append(episode.return_)
            bar.set_postfix_str(f"mean return {sum(returns) / len(returns):.4g}", refresh=False)
            bar.update()

        yield finished
