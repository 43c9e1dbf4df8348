"""strl simulate: a network open loop, an input for every tick in, its outputs of every tick out."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from strl.cli.reading import add_reading, add_stream, subject_of, warnings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from strl.loop.subject import Subject


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("subject", metavar="FILE.nir|POLICY|BUNDLE", help="what has a network")
    parser.add_argument("--input", required=True, metavar="IN.npy", help="[ticks, *input shape]")
    add_reading(parser)
    parser.add_argument(
        "--backend", default="float", help="float, loihi, definition, lava, lava-fused, onnx or torch (float)"
    )
    parser.add_argument("--chip", metavar="NAME", help="which it is compiled for, or its TOML file (loihi1)")
    parser.add_argument("--weight-bits", type=int, metavar="N", help="of a weight, 2 to the chip's own (8)")
    add_stream(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT.npy", help="[ticks, *output shape]; OUT.npz for all outputs by name"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Run it, and write or summarise what came out."""
    import time
    from pathlib import Path

    from strl.cli.output import emit, note, say
    from strl.loop.arrays import check_file, read_array, write_arrays

    if args.output is not None:
        check_file(Path(args.output))
    values = read_array(Path(args.input))
    subject = subject_of(args)
    warnings = list(warnings_of(subject))
    for warning in warnings:
        note(f"warning: {warning}")
    began = time.perf_counter()
    run_it = _float if args.backend == "float" else _chip
    outputs, details = run_it(args, subject, values)
    seconds = time.perf_counter() - began
    if args.output is not None:
        write_arrays(Path(args.output), outputs)
    found = {
        "subject": subject.name,
        "backend": args.backend,
        "ticks": len(values),
        "seconds": seconds,
        "outputs": {name: _summary(array) for name, array in outputs.items()},
        "output": args.output,
        "warnings": warnings,
        **details,
    }
    if args.json:
        emit(found)
    else:
        say(_prose(found))
    return 0


def _float(
    args: argparse.Namespace, subject: Subject, values: NDArray[Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """All outputs of the float network, or the one that is asked for."""
    from strl.errors import UsageError
    from strl.loop.simulate import simulate_float
    from strl.registry import suggest

    for option in ("chip", "weight_bits", "input_bits", "input_unit"):
        if getattr(args, option) is not None:
            raise UsageError(f"--{option.replace('_', '-')}: the float network has none of that")
    outputs = simulate_float(subject, values, progress=_bar(args.json))
    if args.node is None:
        return outputs, {}
    if args.node not in outputs:
        raise UsageError(f"there is no output {args.node!r}", hint=suggest(args.node, outputs))
    return {args.node: outputs[args.node]}, {}


def _chip(
    args: argparse.Namespace, subject: Subject, values: NDArray[Any]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The output on a chip, and what there is to say of its program and input."""
    from strl.cli.output import note
    from strl.errors import UsageError
    from strl.ir.network import shapes
    from strl.loop.simulate import check_input
    from strl.loop.stream import as_stream, input_of, lost, simulate_chip, unheard

    options = {"bits": args.input_bits, "unit": args.input_unit, "output": args.node}
    if subject.artefact.compiled is None:
        subject = as_stream(subject, values, **options)
    elif any(value is not None for value in options.values()):
        raise UsageError(
            f"{subject.name}: is a bundle, whose input and output are fixed", hint="export it again with them"
        )
    program, network = subject.program(args.chip, args.weight_bits), subject.network
    check_input(network, values)
    code, shape = input_of(program), shapes(network)[network.output]
    details = {
        "chip": program.chip.name,
        "program": program.digest,
        "input": {"bits": code.bits, "unit": code.unit, "off": lost(code, values)},
    }
    if said := unheard(code, values):
        warning = f"{said}: the bundle's unit is {code.unit:g}"
        note(f"warning: {warning}")
        details["warnings"] = [*warnings_of(subject), warning]
    return {network.output: simulate_chip(program, shape, values, args.backend)}, details


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
    where = f"{found['chip']} on {found['backend']}" if "chip" in found else found["backend"]
    lines = [f"{found['subject']} on {where}: {found['ticks']} ticks in {found['seconds']:.3g} s"]
    if "input" in found:
        entry = found["input"]
        lines.append(
            f"  input  {entry['bits']} bit, unit {entry['unit']:g}, off by at most {entry['off']:.3g}"
        )
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
