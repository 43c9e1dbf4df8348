"""strl inspect: what is in a bundle, how full the chip is, what rounding cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from strl.cli.reading import add_reading, subject_of, warnings_of

if TYPE_CHECKING:
    from strl.loop.subject import Subject


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "subject",
        metavar="BUNDLE|FILE.nir",
        help="a bundle; a policy is compiled for loihi1 first; of a bare network the network is shown",
    )
    add_reading(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Print what is there."""
    from strl.cli.output import emit, say
    from strl.ir.text import text as network_text

    subject = subject_of(args)
    bare = subject.semantics.open_loop and subject.artefact.compiled is None
    found = {
        "name": subject.name,
        "semantics": subject.semantics.to_dict(),
        "network": network_text(subject.network).splitlines(),
        "proof": dict(subject.artefact.proof),
        "warnings": list(warnings_of(subject)),
        **({} if bare else _program(subject)),
    }
    if args.json:
        emit(found)
    else:
        say("\n".join(_bare(found) if bare else _prose(found)))
    return 0


def _program(subject: Subject) -> dict[str, Any]:
    from strl.chip.fit import summary, utilization
    from strl.chip.text import text

    compiled = subject.compiled()
    return {
        "program": summary(compiled),
        "text": text(compiled.program).splitlines(),
        "quantization": {name: dict(error) for name, error in compiled.quantized.error.items()},
        "utilization": utilization(compiled),
    }


def _bare(found: dict[str, Any]) -> list[str]:
    """A network without codec and program: its nodes, and how it was read."""
    from strl.cli.export import proved

    warnings = [f"  WARNING   {warning}" for warning in found["warnings"]]
    return [
        f"{found['name']}, a bare network",
        f"  network   {proved(found['proof'])}",
        *warnings,
        "",
        *found["network"],
    ]


def _prose(found: dict[str, Any]) -> list[str]:
    from strl.cli.export import program_lines

    semantics = found["semantics"]
    env = semantics["environment"]["id"] or "no environment"
    return [
        f"{found['name']} for {env}",
        *program_lines(found["program"]),
        f"  codec     {_codec(semantics['encoder'])} → {semantics['readout']['kind']} → "
        f"{_codec(semantics['decoder'])}",
        f"  state     {semantics['state']}",
        "",
        *found["text"][4:],
        "",
        *_cores(found["utilization"]),
        "",
        "sums, in any input",
        *(f"  {name:<24} {_sums(record)}" for name, record in found["utilization"]["sums"].items()),
        "",
        "rounding, relative to the largest weight, threshold or decay",
        *(_rounding(name, error) for name, error in found["quantization"].items()),
    ]


def _rounding(name: str, error: dict[str, float]) -> str:
    floor = error.get("floor", 0.0)
    lost = f"  and up to {floor:.2e} off each sum, by its negative exponent" if floor else ""
    return f"  {name:<24} rms {error['rms']:.2e}  largest {error['largest']:.2e}{lost}"


def _sums(record: dict[str, Any]) -> str:
    """What is proved of one population's synaptic sum and current."""
    parts = []
    for name, unit in (("sum", "synaptic sum"), ("current", "u")):
        found = record[name]
        verdict = (
            f"{found['can_exceed']} neurons can exceed it, number {found['neuron']} the furthest"
            if found["can_exceed"]
            else "proved"
        )
        parts.append(f"{unit} ≤ {found['worst']:.0f} of {found['limit']}: {verdict}")
    if record["rounding"]["can_exceed"]:
        most = record["rounding"]["worst"]
        parts.append(f"exponents that act on each weight, as on the chip, take up to {most:.0f} more off")
    return "; ".join(parts)


def _codec(part: dict[str, Any]) -> str:
    """A codec part's kind, with its short settings; an open loop has no decoder."""
    if not part:
        return "none"
    short = [f"{k}={v}" for k, v in part.items() if k != "kind" and not isinstance(v, list | dict)]
    return f"{part['kind']}({', '.join(short)})" if short else str(part["kind"])


def _cores(use: dict[str, Any]) -> list[str]:
    """A table: one row a core, one column a limit, the binding one marked."""
    names = list(use["each"][0]["limits"])
    widths = [max(len(n), 12) for n in names]
    lines = [
        f"cores of {use['chip']}: {use['cores']['used']} of {use['cores']['limit']}; * is what binds",
        "  core  " + "  ".join(f"{n.replace('_', ' '):>{w}}" for n, w in zip(names, widths, strict=True)),
    ]
    for core in use["each"]:
        cells = []
        for name, width in zip(names, widths, strict=True):
            limit = core["limits"][name]
            mark = "*" if name == core["binding"] else ""
            cells.append(f"{mark}{limit['used']} {limit['share']:.0%}".rjust(width))
        lines.append(f"  {core['core']:>4}  " + "  ".join(cells))
    return lines
