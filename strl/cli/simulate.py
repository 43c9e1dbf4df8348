"""strl simulate: a network open loop, an input for every tick in, its outputs of every tick out."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from strl.cli.reading import add_reading, subject_of, warnings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("subject", metavar="FILE.nir|POLICY|BUNDLE", help="what has a network")
    parser.add_argument("--input", required=True, metavar="IN.npy", help="[ticks, *input shape]")
    add_reading(parser)
    parser.add_argument("--backend", default="float", help="where it runs (default: float)")
    parser.add_argument("--node", metavar="NAME", help="the output to keep, where there are several")
    parser.add_argument(
        "-o", "--output", metavar="OUT.npy", help="[ticks, *output shape]; OUT.npz for all outputs by name"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run it, and write or summarise what came out."""
    import time
    from pathlib import Path

    from strl.cli.output import emit, note, say
    from strl.errors import UsageError
    from strl.loop.arrays import read_array, write_arrays
    from strl.loop.simulate import simulate_float
    from strl.registry import suggest

    if args.backend != "float":
        raise UsageError(f"there is no backend {args.backend!r} here", hint=suggest(args.backend, ["float"]))
    values = read_array(Path(args.input))
    subject = subject_of(args)
    for warning in warnings_of(subject):
        note(f"warning: {warning}")
    began = time.perf_counter()
    outputs = simulate_float(subject, values, progress=_bar(args.json))
    seconds = time.perf_counter() - began
    if args.node is not None:
        if args.node not in outputs:
            raise UsageError(f"there is no output {args.node!r}", hint=suggest(args.node, outputs))
        outputs = {args.node: outputs[args.node]}
    if args.output is not None:
        write_arrays(Path(args.output), outputs)
    found = {
        "subject": subject.name,
        "backend": args.backend,
        "ticks": len(values),
        "seconds": seconds,
        "outputs": {name: _summary(array) for name, array in outputs.items()},
        "output": args.output,
        "warnings": list(warnings_of(subject)),
    }
    if args.json:
        emit(found)
    else:
        say(_prose(found))
    return 0


def _summary(values: NDArray[Any]) -> dict[str, Any]:
    import hashlib

    return {
        "shape": list(values.shape),
        "mean": float(values.mean()),
        "least": float(values.min()),
        "most": float(values.max()),
        "sha256": hashlib.sha256(values.astype("<f8").tobytes()).hexdigest(),
    }


def _prose(found: dict[str, Any]) -> str:
    lines = [f"{found['subject']} on {found['backend']}: {found['ticks']} ticks in {found['seconds']:.3g} s"]
    for name, output in found["outputs"].items():
        lines.append(
            f"  {name}  {output['shape']}, mean {output['mean']:.6g}, {output['least']:.6g} to "
            f"{output['most']:.6g}, sha256 {output['sha256'][:16]}"
        )
    if found["output"] is not None:
        lines.append(f"  file  {found['output']}")
    return "\n".join(lines)


def _bar(quiet: bool) -> Any:
    """Passes ticks on behind a progress bar, where somebody looks."""
    import sys

    from tqdm import tqdm

    def ticks(numbers: Iterable[int]) -> Iterable[int]:
        yield from tqdm(
            numbers, unit="tick", file=sys.stderr, disable=quiet or not sys.stderr.isatty(), leave=False
        )

    return ticks
