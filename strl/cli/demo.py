"""strl demo: the whole way of the shipped policies, from module to report, in one command."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strl.loop.compare import Comparison
    from strl.loop.results import Evaluation

LAVA = ("lava", "lava-fused")
STOCK_NEURONS = 500
"""Up to so many Lava's stock processes take part: of a transformer they take minutes an episode."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "policies", metavar="POLICY", nargs="*", help="of `strl policies` (default: the MLPs)"
    )
    parser.add_argument(
        "--episodes", type=int, default=100, metavar="N", help="float and on the kernel (100)"
    )
    parser.add_argument(
        "--lava-episodes", type=int, default=3, metavar="N", help="on Lava, which is slow (3); 0 for none"
    )
    parser.add_argument("-o", "--output", default="runs/demo", metavar="DIR", help="default: runs/demo")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Export, run, compare and report; episodes that were played before are not played again."""
    from strl.cli.output import emit, note, say
    from strl.policies.checkpoint import header
    from strl.policies.library import shipped
    from strl.report.page import write

    # The transformers' float networks are slow: a hundred episodes of one take as long as all of the demo.
    names = args.policies or [
        n for n, file in shipped().items() if header(file)["architecture"]["kind"] == "mlp"
    ]
    folder = Path(args.output)
    shows = []
    for position, name in enumerate(names, 1):
        note(f"[{position}/{len(names)}] {name}")
        shows.append(_show(name, folder / name, args))
    report = write(folder / "report.html", [_chapter(s, folder / s.name) for s in shows], title="strl demo")
    if args.json:
        emit({"report": str(report), "policies": [_facts(s) for s in shows]})
        return 0
    say(_table([_row(_facts(s)) for s in shows]))
    say(f"\nreport: {report} (open it in any browser)")
    say(f"bundles and all results: {folder}")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Show:
    """What became of one policy; ``skipped`` says why a Lava backend did not run."""

    name: str
    comparison: Comparison
    lava: dict[str, Evaluation]
    skipped: dict[str, str]


def _show(name: str, folder: Path, args: argparse.Namespace) -> _Show:
    from dataclasses import replace

    from strl.chip.exporter import exporter
    from strl.cli.output import note
    from strl.cli.progress import episodes_bar
    from strl.errors import BackendError
    from strl.loop.compare import compare
    from strl.loop.evaluate import Entrant, evaluate
    from strl.loop.subject import resolve

    bundle = folder / "bundle"
    subject = resolve(name)
    exporter("loihi").export(replace(subject.artefact, compiled=subject.compiled()), bundle)
    note(f"  exported through NIR to {bundle}")
    loaded = resolve(str(bundle))
    with episodes_bar(3 * args.episodes, label="  float and loihi", quiet=args.json) as progress:
        comparison = compare(
            loaded,
            episodes=args.episodes,
            output=folder / "compare",
            progress=progress,
        )
    note(f"  {args.episodes} episodes as float network and on the chip (kernel), compared")
    lava: dict[str, Evaluation] = {}
    skipped: dict[str, str] = {}
    for backend in LAVA if args.lava_episodes else ():
        if backend == "lava" and loaded.program().neurons > STOCK_NEURONS:
            skipped[backend] = f"takes minutes an episode: strl run {name} --backend lava --episodes 1"
            note(f"  {backend} {skipped[backend]}")
            continue
        try:
            with episodes_bar(args.lava_episodes, label=f"  {backend}", quiet=args.json) as progress:
                lava[backend] = evaluate(
                    Entrant.of(loaded, backend),
                    episodes=args.lava_episodes,
                    output=folder / backend,
                    progress=progress,
                )
            note(f"  {args.lava_episodes} episodes on {backend}")
        except BackendError as error:
            skipped[backend] = str(error)
            note(f"  {backend} did not run: {error}")
    return _Show(name=name, comparison=comparison, lava=lava, skipped=skipped)


def _chapter(show: _Show, folder: Path) -> Any:
    from dataclasses import replace

    from strl.loop.subject import resolve
    from strl.report.source import chapters, cores

    paths = [folder / "compare", *(folder / backend for backend in show.lava)]
    return replace(chapters(paths)[0], cores=cores(resolve(str(folder / "bundle")).compiled()))


def _facts(show: _Show) -> dict[str, Any]:
    """The row of a policy, as plain data."""
    a, b = show.comparison.a, show.comparison.b
    chip = {e.seed: e.digest for e in b.episodes}
    agree = {
        backend: [chip[e.seed] == e.digest for e in found.episodes if e.seed in chip]
        for backend, found in show.lava.items()
    }
    energy = next(iter(b.energy.values()), None)
    return {
        "policy": show.name,
        "env": a.environment,
        "episodes": len(a.episodes),
        "float_iqm": a.iqm,
        "chip_iqm": b.iqm,
        "chip_ci95": None if b.ci95 is None else list(b.ci95),
        "action_agreement": show.comparison.action_agreement,
        "equivalent": show.comparison.equivalent,
        "energy_profile": None if energy is None else energy.profile,
        "core_j": None if energy is None else energy.totals["core"].value,
        "core_j_at_least": energy is not None and "core" in energy.at_least,
        "decisions_per_s": b.decisions_per_s,
        "equal_to_lava": {k: {"episodes": len(v), "equal": sum(v)} for k, v in agree.items()},
        "lava_skipped": show.skipped,
    }


_HEAD = ("policy", "float IQM", "chip IQM", "95 %", "actions", "core energy", "Lava = kernel")


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    ci95, joules = facts["chip_ci95"], facts["core_j"]
    lava = ", ".join(f"{v['equal']}/{v['episodes']} {k}" for k, v in facts["equal_to_lava"].items())
    return (
        facts["policy"],
        f"{facts['float_iqm']:.1f}",
        f"{facts['chip_iqm']:.1f}",
        "" if ci95 is None else f"{ci95[0]:.1f} to {ci95[1]:.1f}",
        f"{facts['action_agreement']:.1%}",
        "" if joules is None else f"{'≥ ' * facts['core_j_at_least']}{joules * 1e6:.3g} µJ",
        lava or "not run",
    )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[k]) for row in (_HEAD, *rows)) for k in range(len(_HEAD))]
    lines = [
        "  ".join(c.ljust(w) if not k else c.rjust(w) for k, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in (_HEAD, *rows)
    ]
    return "\n".join(lines)
