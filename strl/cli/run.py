"""strl run: a policy or bundle in its environment, closed loop."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strl.loop.results import Evaluation


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "subject", metavar="BUNDLE|POLICY", help="a bundle, checkpoint, name or file.py:factory"
    )
    parser.add_argument("--env", metavar="ID", help="Gymnasium environment (default: the policy's own)")
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first episode (default: 0)")
    parser.add_argument(
        "--backend",
        default="loihi",
        help="loihi, torch, lava, lava-fused, onnx, definition or float (default: loihi)",
    )
    parser.add_argument(
        "--weight-bits", type=int, metavar="B", help="of a policy's weights on the chip, 2 to its own (8)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop (exit 4) where the chip would behave differently"
    )
    parser.add_argument(
        "--batch", type=int, metavar="N", help="episodes side by side; no result depends on it"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes that play the episodes (default: 1)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="keep finished episodes there and continue them"
    )
    parser.add_argument(
        "--trace", metavar="FILE", help="spikes, observations, actions of the first episode (.npz)"
    )
    parser.add_argument("--video", metavar="DIR", help="film the first episode (.mp4)")
    parser.add_argument(
        "--picture", metavar="FILE", help="frames and spikes of the first episode, drawn side by side (.svg)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run the episodes and print what came of them."""
    from pathlib import Path

    from strl.cli.output import emit, say
    from strl.cli.progress import continuing, episodes_bar
    from strl.errors import UsageError
    from strl.loop.evaluate import FLOAT, Entrant
    from strl.loop.subject import resolve
    from strl.report.episode import watched

    if args.backend == FLOAT and args.weight_bits is not None:
        raise UsageError(
            "--weight-bits: the float network has no such weights", hint="choose a chip's backend"
        )

    if args.backend == FLOAT and args.strict:
        raise UsageError("--strict: the float network is no chip's", hint="choose a chip's backend")

    def path(name: str | None) -> Path | None:
        return None if name is None else Path(name)

    with (
        continuing(args.output),
        episodes_bar(args.episodes, label=args.backend, quiet=args.json) as progress,
    ):
        found = watched(
            Entrant.of(resolve(args.subject), args.backend, args.weight_bits, strict=args.strict),
            env=args.env,
            episodes=args.episodes,
            seed=args.seed,
            batch=args.batch,
            jobs=args.jobs,
            output=path(args.output),
            trace=path(args.trace),
            video=path(args.video),
            picture=path(args.picture),
            progress=progress,
        )
    if args.json:
        emit(found.to_dict())
    else:
        say(summary(found))
    return 0


def summary(found: Evaluation) -> str:
    """A few lines of prose."""
    where = "float network" if found.chip is None else f"{found.chip} on {found.backend}"
    returns, seconds = found.returns, found.wall_s
    rates = ", ".join(f"{n} {r:.2%}" for n, r in found.rates.items() if n in found.computing)
    pace = found.decisions_per_s
    speed = "" if pace is None else f" in {seconds:.3g} s, {pace:.0f} a second"
    lines = [
        f"{found.subject} in {found.environment}, {where}: {len(returns)} episodes from seed {found.seed}",
        f"  return     IQM {found.iqm:.6g}{interval_text(found.ci95)}, mean {returns.mean():.6g}, "
        f"std {returns.std():.3g}, {returns.min():.6g} to {returns.max():.6g}",
        f"  decisions  {found.decisions} of {found.ticks_per_decision} ticks{speed}",
        f"  rates      {rates} (spikes a neuron a tick)",
        *_chip_lines(found),
        f"  digest     {found.digest}",
    ]
    return "\n".join(lines)


def interval_text(ci95: tuple[float, float] | None) -> str:
    """`` [low, high]``, or nothing where it is not known."""
    return "" if ci95 is None else f" [{ci95[0]:.6g}, {ci95[1]:.6g}]"


def _plain(value: float) -> str:
    """Three significant digits, never with an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}" if value >= 1e-3 else f"{value:.6f}"


def _chip_lines(found: Evaluation) -> list[str]:
    lines = []
    if found.activity is not None:
        counts = found.activity
        lines.append(
            f"  activity   {counts.synaptic_ops / found.decisions:.0f} synaptic operations, "
            f"{int(counts.spikes.sum()) / found.decisions:.1f} spikes, "
            f"{counts.packets / found.decisions:.1f} packets a decision"
        )
    for report in found.energy.values():
        least = {name: "at least " if name in report.at_least else "" for name in report.totals}
        core, total = report.totals["core"], report.totals["host"]
        lines.append(
            f"  energy     {least['core']}{_plain(core.value * 1e6)} µJ in the cores, "
            f"{least['host']}{_plain(total.value * 1e6)} µJ in all "
            f"({_plain(total.low * 1e6)} to {_plain(total.high * 1e6)}) a decision, by {report.profile}"
            + (f", which leaves out: {', '.join(report.missing)}" if report.missing else "")
        )
    return lines
