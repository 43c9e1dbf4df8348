"""HTML from text: everything that comes from a file goes through ``escape``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as _escape

_PREFIXES = ((1e-15, "f"), (1e-12, "p"), (1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""), (1e3, "k"))

_JOINT = "\u00a0"
"""A space at which no line is broken."""


def escape(text: object) -> str:
    """Safe inside HTML text and attributes, and inside plotly's labels."""
    return _escape(str(text), quote=True)


def quantity(value: float, unit: str) -> str:
    """Three digits and an SI prefix: ``12.3 µJ``."""
    if value == 0 or not abs(value) < float("inf"):
        return f"{value:g}{_JOINT}{unit}"
    scale, prefix = max((p for p in _PREFIXES if p[0] <= abs(value)), default=_PREFIXES[0])
    return f"{value / scale:.3g}{_JOINT}{prefix}{unit}"


def number(value: float) -> str:
    """A return, with thin thousands."""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:,.1f}"


def signed(value: float) -> str:
    """A difference, with its sign unless it is 0."""
    return f"{value:+.3g}" if value else "0"


def percent(share: float, digits: int = 1) -> str:
    """100 % and 0 % only where it is so."""
    text = f"{100 * share:.{digits}f}"
    if share not in (0, 1) and float(text) in (0, 100):
        return ("> 99.9" if share > 0.5 else "< 0.1").replace(" ", _JOINT) + f"{_JOINT}%"
    return f"{float(text):g}{_JOINT}%"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of cells that are HTML already; all but the first column are aligned right."""
    columns = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>'


def tiles(values: Iterable[tuple[str, str, str]]) -> str:
    """Headline figures: (value, what it is, a note), HTML already."""
    cells = "".join(
        f'<div class="tile"><b>{value}</b><span>{what}</span><small>{note}</small></div>'
        for value, what, note in values
    )
    return f'<div class="tiles">{cells}</div>'
