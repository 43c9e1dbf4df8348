"""strl train: an environment's name in, a checkpoint out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strl.cli import learning
from strl.errors import UsageError

if TYPE_CHECKING:
    from strl.training.train import Trained

OF_ALL = ("hidden", "ticks", "expert_steps")
OF_ATTENTION = ("attention", "heads", "context", "position", "beta_limit")
OF_ONE: Mapping[str, tuple[str, ...]] = {
    "mlp": ("encoder", "encoder_option", "neuron", "alpha", "beta", "readout"),
    "transformer": ("width", "blocks", "weight_bits", "norm", "teacher", *OF_ATTENTION),
}
"""What can be told of every architecture, and of one alone."""


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command. What is not given comes from the environment's recipe, else the default."""
    parser.add_argument("--env", required=True, metavar="ID", help="Gymnasium environment")
    parser.add_argument("--policy", choices=list(OF_ONE), default="mlp", help="architecture (default: mlp)")
    parser.add_argument(
        "--hidden", type=_widths, metavar="N,N", help="hidden neurons (default: 64,64; of a block's MLP 128)"
    )
    parser.add_argument("--ticks", type=int, metavar="T", help="ticks of a decision (default: 8 or 4)")
    parser.add_argument("--width", type=int, metavar="N", help="channels of a transformer (default: 64)")
    parser.add_argument("--blocks", type=int, metavar="N", help="blocks of a transformer (default: 1)")
    parser.add_argument(
        "--weight-bits", type=int, metavar="N", help="bits of a transformer's weights (default: 8)"
    )
    parser.add_argument(
        "--teacher", metavar="ID", help="environment in which a transformer's expert sees what it does not"
    )
    parser.add_argument(
        "--attention",
        metavar="NAME",
        help="streaming (default) or sdsa; to compare with and not for a chip: ssa, a2os2a, sasa",
    )
    parser.add_argument("--heads", type=int, metavar="N", help="of ssa and a2os2a (default: 1)")
    parser.add_argument(
        "--context", type=int, metavar="K", help="decisions in an attention's window (default: 4)"
    )
    parser.add_argument(
        "--position",
        action="store_true",
        default=None,
        help="a window learns what each of its decisions is worth",
    )
    parser.add_argument(
        "--beta-limit",
        type=float,
        metavar="B",
        help="most that neurons outside attention retain a tick: 0.5 (default) forgets between decisions",
    )
    parser.add_argument(
        "--norm",
        action="store_true",
        default=None,
        help="batch norm in a transformer, folded into its weights",
    )
    parser.add_argument("--encoder", metavar="KIND", help="direct, rate, latency, population or sign-split")
    parser.add_argument(
        "--encoder-option",
        action="append",
        type=_option,
        metavar="NAME=VALUE",
        help="a field of the encoder, such as fields=6; may be repeated",
    )
    parser.add_argument("--neuron", choices=["leaky", "synaptic"], help="default: leaky")
    parser.add_argument("--alpha", type=float, help="retention of a synaptic neuron's current (default: 0.5)")
    parser.add_argument("--beta", type=float, help="retention of the potential (default: 0.75)")
    parser.add_argument("--readout", choices=["membrane", "count"], help="default: membrane")
    parser.add_argument("--expert-steps", type=int, metavar="N", help="environment steps of the expert")
    parser.add_argument("--spike-cost", type=float, metavar="X", help="loss per mean spike (default: 0)")
    learning.add(parser)


def run(args: argparse.Namespace) -> int:
    """Train, or go on where an interrupted training stopped."""
    given = learning.given(args, (*OF_ALL, *OF_ONE[args.policy]))
    for kind, names in OF_ONE.items():
        for name in learning.given(args, names) if kind != args.policy else ():
            raise UsageError(
                f"--{name.replace('_', '-')} is for --policy {kind}, this is --policy {args.policy}"
            )
    imitation = learning.given(args, ("rounds", "updates", "spike_cost"))
    if "encoder_option" in given:
        given["encoder_options"] = dict(given.pop("encoder_option"))
    if args.policy == "transformer":
        _check_transformer(args.env, given, imitation)

    def start(output: Path, command: str) -> Trained:
        from strl.api import train

        options = {**given, **imitation}
        return train(args.env, output, policy=args.policy, seed=args.seed, command=command, **options)

    what, then = {"env": args.env}, _then(given.get("attention", "streaming"))
    return learning.learn(args, start, what=what, returned="float IQM {}", then=then)


def _then(attention: str) -> str | None:
    """The command to go on with; what can only be compared with is not run."""
    from strl.policies.attention import ON_CHIP

    return "run" if attention in ON_CHIP else None


def _check_transformer(env: str, given: dict[str, Any], imitation: Mapping[str, Any]) -> None:
    """One width for its one hidden layer; in mazes, nothing that learning from data alone has not."""
    from strl.training.recipes import student_recipe

    if "hidden" in given:
        if len(given["hidden"]) != 1:
            raise UsageError("--hidden: a block's MLP has one hidden layer, such as --hidden 128")
        given["hidden"] = given["hidden"][0]
    if "offline" not in student_recipe(env, policy="transformer"):
        return
    for name in {"teacher", "expert_steps", "rounds"} & {*given, *imitation}:
        raise UsageError(f"--{name.replace('_', '-')}: {env} is learned from data of an optimal expert")


def _widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not widths such as 64,64") from None


def _option(text: str) -> tuple[str, object]:
    import json

    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE such as fields=6") from None
