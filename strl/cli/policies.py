"""strl policies: the trained policies that come with strl."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """List name, environment, size, float return and the command that made each."""
    from strl.cli.output import emit, say
    from strl.policies.checkpoint import header
    from strl.policies.library import shipped

    found = {}
    for name, path in shipped().items():
        entry = header(path)
        record, architecture = entry["record"], entry["architecture"]
        found[name] = {
            "env": entry["semantics"]["environment"]["id"],
            "network": _network(architecture),
            "ticks": entry["semantics"]["ticks"],
            "encoder": entry["semantics"]["encoder"]["kind"],
            "float_iqm": record.get("returns", {}).get("test_iqm"),
            "command": record.get("command", ""),
        }
    if args.json:
        emit({"policies": found})
        return 0
    for name, facts in found.items():
        say(f"{name}: {facts['env']}, {facts['network']} neurons, T = {facts['ticks']}, {facts['encoder']}")
        say(f"    float IQM {facts['float_iqm']:.6g} over 100 seeds; made by: {facts['command']}")
    return 0


def _network(architecture: Mapping[str, Any]) -> str:
    """Neurons of each layer; of a transformer the stream's channels, and its blocks' hidden neurons."""
    inner = architecture["hidden"]
    if architecture["kind"] == "transformer":
        inner = [f"{architecture['width']}({inner})×{architecture['blocks']}"]
    return "-".join(map(str, [architecture["inputs"], *inner, architecture["outputs"]]))
