"""Small plots as SVG, written by hand: lines over powers of ten, and points with a line through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

BLUE, ORANGE, GREY, GREEN = "#1f5fbf", "#c2571a", "#8a8a8a", "#2f7d4f"
BREAK_EVEN = 0.057
"""Spikes of a neuron and tick above which a conventional network takes less energy (arXiv 2409.08290)."""
Lines = Mapping[str, tuple[str, Sequence[tuple[float, float]]]]
"""Label → colour and points (x, y)."""


def powers(lines: Lines, *, x: range, y: range, title: str, height: int = 380) -> str:
    """Lines over axes of powers of ten, each labelled on the right.

    Args:
        x, y: exponents of the axes' marks; a line may go beyond the last of y by less than one.
        title: of the horizontal axis.
    """
    across, up, bottom = 390 / (len(x) - 1), (height - 86) / (len(y) - 1), height - 50

    def at(right: float, above: float) -> tuple[float, float]:
        return 70 + across * (np.log10(right) - x[0]), bottom - up * (np.log10(above) - y[0])

    parts = _page(700, height)
    for power in y:
        _, level = at(10.0 ** x[0], 10.0**power)
        parts.append(f'<path d="M70 {level:.0f}H460" stroke="#ddd"/>')
        parts.append(f'<text x="30" y="{level + 4:.0f}">1e{power}</text>')
    for power in x:
        place, _ = at(10.0**power, 10.0 ** y[0])
        parts.append(f'<text x="{place - 12:.0f}" y="{bottom + 20}">{10**power:,}</text>')
    parts.append(f'<text x="180" y="{bottom + 42}">{title}</text>')
    labels = []
    for label, (colour, points) in lines.items():
        places = [at(*point) for point in points]
        parts.append(_line(places, colour))
        labels.append((places[-1][1], label, colour))
    lowest = -np.inf
    for level, label, colour in sorted(labels):
        lowest = max(level, lowest + 16)  # labels of lines that end at one height stand below one another
        parts.append(f'<text x="468" y="{lowest + 4:.0f}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def over_firing(
    points: Sequence[tuple[float, float, float]],
    *,
    y: Sequence[float],
    form: Callable[[float], str],
    title: str,
) -> str:
    """What is reached over the spikes it takes, a point for each charge for spikes.

    Args:
        points: spikes of a neuron and driven tick, what is reached, the charge.
        y: marks of the vertical axis, the least and the greatest its ends.
        form: writes a mark.
        title: of the vertical axis.
    """
    most = max(0.16, *(firing for firing, _, _ in points))

    def at(firing: float, reached: float) -> tuple[float, float]:
        return 70 + 480 * firing / most, 290 - 240 * (reached - y[0]) / (y[-1] - y[0])

    parts = _page(640, 360)
    for mark in y:
        _, level = at(0, mark)
        parts.append(f'<path d="M70 {level:.0f}H550" stroke="#ddd"/>')
        parts.append(f'<text x="62" y="{level + 4:.0f}" text-anchor="end">{form(mark)}</text>')
    for percent in range(0, int(most * 100) + 1, 2 if most <= 0.2 else 5):
        place, level = at(percent / 100, y[0])
        parts.append(f'<text x="{place - 8:.0f}" y="{level + 18:.0f}">{percent} %</text>')
    place, level = at(BREAK_EVEN, y[0])
    parts.append(f'<path d="M{place:.0f} {level:.0f}V40" stroke="{ORANGE}" stroke-dasharray="5 4"/>')
    said = f"break-even, {100 * BREAK_EVEN:.1f} %"
    parts.append(f'<text x="{place + 6:.0f}" y="{level - 8:.0f}" fill="{ORANGE}">{said}</text>')
    parts.append(_line([at(*point[:2]) for point in sorted(points)], BLUE))
    for number, (firing, reached, cost) in enumerate(sorted(points)):
        place, level = at(firing, reached)
        parts.append(f'<circle cx="{place:.1f}" cy="{level:.1f}" r="4" fill="{BLUE}"/>')
        level += 22 if number % 2 else -10  # neighbours' labels on either side of the line
        parts.append(f'<text x="{place - 10:.0f}" y="{level:.0f}" fill="{BLUE}">cost {cost:g}</text>')
    parts.append('<text x="190" y="345">spikes of a neuron and driven tick</text>')
    parts.append(f'<text x="20" y="25">{title}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _page(width: int, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        ' font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]


def _line(places: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
