"""Progress of long work on stderr; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from strl.cli.output import note

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


@contextmanager
def continuing(folder: str | None) -> Iterator[None]:
    """Says after Ctrl-C what is kept in the run directory, if there is one."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            note(f"finished episodes are kept in {folder}; the same command continues")
        raise
