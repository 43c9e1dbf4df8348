"""strl export: a policy, through NIR, to a bundle for a chip or a NIR file."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from strl.cli.reading import add_reading, add_stream, subject_of, warnings_of

if TYPE_CHECKING:
    from strl.chip.compile import Compiled
    from strl.loop.subject import Subject


LOST = 0.5
"""Share of a bundle's weights that rounding may take to zero without a warning."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("policy", metavar="POLICY", help="a checkpoint, name, file.py:factory or .nir file")
    parser.add_argument("--target", default="loihi", help="what to make; `strl targets` lists them (loihi)")
    parser.add_argument("--chip", metavar="NAME", help="chip, or the path of its TOML file (loihi1)")
    parser.add_argument("--weight-bits", type=int, metavar="N", help="of a weight, 2 to the chip's own (8)")
    parser.add_argument(
        "--arithmetic", metavar="NAME", help="lava or loihi1, in which the program runs (the chip's first)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="refuse (exit 4) what is not proved to run alike on the chip"
    )
    parser.add_argument("--integer", action="store_true", help="onnx: the chip's program, bit for bit")
    parser.add_argument("--scan", action="store_true", help="onnx: the ticks in a loop, not in a row")
    parser.add_argument(
        "--tick", action="store_true", help="onnx: one tick of the network, without its codec"
    )
    add_reading(parser)
    parser.add_argument(
        "--env", metavar="ID", help="make a bare network a policy for it, by its default codec"
    )
    parser.add_argument(
        "--ticks",
        type=int,
        metavar="T",
        help="of a decision with --env (32), else of a bare network's run (4096)",
    )
    parser.add_argument("--input", metavar="IN.npy", help="what a bare network shall take, for bits and unit")
    add_stream(parser)
    parser.add_argument("-o", "--output", metavar="OUT", help="default: named after the policy, here")
    parser.add_argument("--force", action="store_true", help="replace what is at OUT, whatever it is")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Export and print a summary."""
    from dataclasses import replace
    from pathlib import Path

    from strl.chip.exporter import exporter
    from strl.cli.output import emit, note, say

    target = exporter(args.target, **{o: True for o in ("integer", "scan", "tick") if getattr(args, o)})
    if not target.compiles:
        _refuse_program_options(args)
    if not args.json:
        note(f"reading {args.policy}")
    subject = subject_of(args)
    if args.env is not None:
        from strl.loop.adopt import adopted

        subject = adopted(subject, args.env, args.ticks)
    else:
        subject = _streamed(args, subject)
    compiled = subject.compiled(args.chip, args.weight_bits, args.arithmetic) if target.compiles else None
    if args.strict and compiled is not None:
        _require_proof(compiled)
    path = target.default(subject.name) if args.output is None else Path(args.output)
    made = target.export(replace(subject.artefact, compiled=compiled), path, force=args.force)
    found = _summary(subject, compiled, args.target, path, [str(p) for p in made])
    if args.json:
        emit(found)
    else:
        say(_prose(found))
    return 0


def _streamed(args: argparse.Namespace, subject: Subject) -> Subject:
    """A bare network as it shall be run, anything else as it is."""
    from pathlib import Path

    from strl.errors import UsageError
    from strl.loop.arrays import read_array
    from strl.loop.stream import as_stream

    options = {"ticks": args.ticks, "bits": args.input_bits, "unit": args.input_unit, "output": args.node}
    if subject.semantics.open_loop and subject.artefact.compiled is None:
        values = None if args.input is None else read_array(Path(args.input))
        return as_stream(subject, values, **options)
    if args.input is not None or any(value is not None for value in options.values()):
        raise UsageError(
            "--ticks, --input, --input-bits, --input-unit and --node are for a bare network, not a policy",
            hint="--env makes a bare network a policy, with --ticks of a decision",
        )
    return subject


def _refuse_program_options(args: argparse.Namespace) -> None:
    """UsageError where an option says how a program is made, and the target holds none."""
    from strl.errors import UsageError

    for option in ("chip", "weight_bits", "arithmetic", "strict"):
        given = getattr(args, option)
        if given is not None and given is not False:
            raise UsageError(
                f"--{option.replace('_', '-')}: target {args.target!r} holds no program of a chip",
                hint="leave it out, or use --target loihi, netx, or onnx with --integer",
            )


def _require_proof(compiled: Compiled) -> None:
    """ChipError where the program can behave differently on the chip, for some input, or nothing is known."""
    from strl.chip.strict import published
    from strl.errors import ChipError

    published(compiled.program)
    if unproved := _unproved(compiled):
        raise ChipError(
            unproved,
            hint="`strl run --strict` tells whether it happens; fewer or smaller weights rule it out",
        )


def _unproved(compiled: Compiled) -> str:
    """Where the program can behave differently on the chip, as one line; empty where it cannot."""
    from strl.chip.overflow import risks

    found = risks(compiled.program)
    return f"not proved to run alike on the chip: {'; '.join(map(str, found))}" if found else ""


def _summary(
    subject: Subject, compiled: Compiled | None, target: str, path: object, files: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "policy": subject.name,
        "env": subject.semantics.environment.id,
        "target": target,
        "output": str(path),
        "files": files,
        "proof": dict(subject.artefact.proof),
        "ticks": subject.semantics.ticks,
    }
    found["warnings"] = list(warnings_of(subject))
    if compiled is not None:
        from strl.chip.fit import summary

        found["program"] = summary(compiled)
        found["warnings"] += [
            f"{name}: {error['lost']:.0%} of its weights are too small beside the largest and become 0"
            for name, error in compiled.quantized.error.items()
            if error.get("lost", 0.0) > LOST
        ]
        if unproved := _unproved(compiled):
            found["warnings"].append(unproved)
    return found


def proved(proof: dict[str, Any]) -> str:
    """What vouches for the network: the proof against its module, or the reading of its file."""
    if "origin" in proof:
        return f"read as one of {proof['origin']['title']}, as {proof['origin']['producer']}"
    layers = proof.get("silent", [])
    silent = f"; {', '.join(layers)} never spiked in them" if layers else ""
    unread = proof.get("unread", [])
    left = f"; head {proof.get('head')!r} is read, {', '.join(unread)} left out" if unread else ""
    shown = f"{proof.get('ticks', 0)} ticks of {proof.get('batch', 0)} inputs"
    return f"equal to the module in {shown}{silent}{left}"


def _prose(found: dict[str, Any]) -> str:
    proof = found["proof"]
    lines = [
        f"{found['policy']} for {found['env'] or 'no environment'} → {found['output']}",
        f"  network   {proved(proof)}",
        *(f"  WARNING   {warning}" for warning in found.get("warnings", [])),
    ]
    program = found.get("program")
    if program is not None:
        lines += program_lines(program)
    lines += [f"  file      {name}" for name in found["files"]]
    return "\n".join(lines)


def program_lines(program: dict[str, Any]) -> list[str]:
    """A program's summary as lines of prose."""
    return [
        f"  program   {program['populations']} populations, {program['neurons']} neurons, "
        f"{program['synapses']} synapses on {program['cores']} of {program['cores_limit']} cores of "
        f"{program['chip']}",
        f"  decision  {program['ticks_per_decision']} ticks, {program['ticks']} of them driven, "
        f"arithmetic {program['arithmetic']}",
        f"  rounding  {_rounding(program['worst_error'])}",
        f"  digest    {program['digest']}",
    ]


def _rounding(worst: dict[str, Any]) -> str:
    if not worst["largest"]:
        return "none: every weight lies on the chip's grid"
    return f"at most {worst['largest']:.3g} of the largest value, in {worst['of']}"
