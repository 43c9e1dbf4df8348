"""strl compare: the same seeds on two subjects or backends, side by side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from strl.errors import ToleranceExceeded

if TYPE_CHECKING:
    from strl.loop.compare import Comparison


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    what = "a bundle, checkpoint, name or file.py:factory"
    parser.add_argument("a", metavar="A", help=what)
    parser.add_argument("b", metavar="B", nargs="?", help="the same (default: A again, on the other backend)")
    parser.add_argument("--env", metavar="ID", help="Gymnasium environment (default: A's own)")
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first episode (default: 0)")
    parser.add_argument("--backend-a", default="float", metavar="NAME", help="default: float")
    parser.add_argument("--backend-b", default="loihi", metavar="NAME", help="default: loihi")
    parser.add_argument(
        "--weight-bits", type=int, metavar="B", help="of both policies' weights on a chip, 2 to its own (8)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop (exit 4) where a chip would behave differently"
    )
    parser.add_argument(
        "--batch", type=int, metavar="N", help="episodes side by side; no result depends on it"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        metavar="X",
        help="exit with 8 where |IQM of B - IQM of A| is above X times A's range (best - worst return, at "
        "least |IQM|)",
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes that play the episodes (default: 1)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="keep finished episodes there and continue them"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Compare and print; exit code 8 where a given tolerance is exceeded."""
    from pathlib import Path

    from strl.cli.output import emit, say
    from strl.cli.progress import continuing, episodes_bar
    from strl.loop.compare import compare
    from strl.loop.subject import resolve

    a = resolve(args.a)
    total = 3 * args.episodes
    with continuing(args.output), episodes_bar(total, label="compare", quiet=args.json) as progress:
        found = compare(
            a,
            None if args.b is None else resolve(args.b),
            backend_a=args.backend_a,
            backend_b=args.backend_b,
            weight_bits=args.weight_bits,
            strict=args.strict,
            env=args.env,
            episodes=args.episodes,
            seed=args.seed,
            batch=args.batch,
            jobs=args.jobs,
            tolerance=args.tolerance,
            output=None if args.output is None else Path(args.output),
            progress=progress,
        )
    if args.json:
        emit(found.to_dict())
    else:
        say(summary(found))
    if args.tolerance is not None and not found.equivalent:
        raise ToleranceExceeded(
            f"IQM of B − IQM of A = {found.iqm_difference:.6g}, the tolerance is "
            f"{found.tolerance:g} · {found.scale:.6g} = {found.tolerance * found.scale:.6g}",
            hint="strl inspect shows rounding errors; more weight bits or another seed may help",
        )
    return 0


def summary(found: Comparison) -> str:
    """Both runs, and what differs."""
    from strl.cli.run import interval_text
    from strl.cli.run import summary as run_summary

    apart = found.action_distance
    verdict = "equivalent" if found.equivalent else "not equivalent"
    lines = [
        f"A  {run_summary(found.a)}",
        f"B  {run_summary(found.b)}",
        "B − A",
        f"  return     mean {found.differences.mean():.6g}{interval_text(found.ci95)}, "
        f"IQM {found.iqm_difference:.6g}: {verdict} "
        f"within {found.tolerance:g} of A's range {found.scale:.6g}",
        f"  actions    {found.action_agreement:.3%} of {found.decisions} decisions agree where A drives"
        + ("" if apart is None else f"; on average {apart:.3%} of the bounds apart"),
    ]
    for name, population in found.populations.items():
        first = population.first
        at = (
            ""
            if first is None
            else f", first in seed {first.seed} decision {first.decision} tick {first.tick}"
        )
        lines.append(f"  {name:10} {100 * population.share:.3g} % of spikes differ{at}")
    return "\n".join(lines)
