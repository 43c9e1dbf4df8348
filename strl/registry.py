"""A name → class table that answers a wrong name with the right ones."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from strl.errors import StrlError, UsageError

T = TypeVar("T")
U = TypeVar("U", bound=object)


class Registry(Generic[T]):
    """Named things of one kind, such as encoders or nodes.

    Args:
        what: singular noun for messages, such as ``"encoder"``.
        error: the error class raised for a name that is not here.
    """

    def __init__(self, what: str, error: type[StrlError] = UsageError) -> None:
        self.what = what
        self._error = error
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[U], U]:
        """Decorator: enter a class (or object) under ``name``; a name is entered once."""

        def enter(entry: U) -> U:
            if name in self._entries:
                raise ValueError(f"{self.what} {name!r} is registered twice")
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise self._error(
                f"there is no {self.what} {name!r}", hint=suggest(name, self._entries)
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries


def suggest(name: str, known: Iterable[object]) -> str:
    """One sentence: the closest known name, else the list of them."""
    names = sorted(str(n) for n in known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"
