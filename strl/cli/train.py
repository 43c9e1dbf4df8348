"""strl train: an environment's name in, a checkpoint out."""

from __future__ import annotations

import argparse

from strl.cli import learning


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command. What is not given comes from the environment's recipe, else the default."""
    parser.add_argument("--env", required=True, metavar="ID", help="Gymnasium environment")
    parser.add_argument("--policy", choices=["mlp"], default="mlp", help="architecture (default: mlp)")
    parser.add_argument("--hidden", type=_widths, metavar="N,N", help="hidden neurons (default: 64,64)")
    parser.add_argument("--ticks", type=int, metavar="T", help="ticks of a decision (default: 8)")
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
    from strl.training.train import configure, train

    names = ("hidden", "ticks", "encoder", "neuron", "alpha", "beta", "readout", "expert_steps")
    given = learning.given(args, names)
    if args.encoder_option:
        given["encoder_options"] = dict(args.encoder_option)
    imitation = learning.given(args, ("rounds", "updates", "spike_cost"))
    options = configure(args.env, seed=args.seed, given=given, imitation=imitation)
    return learning.learn(
        args,
        lambda output, command: train(options, output, command=command),
        what={"env": args.env},
        returned="float IQM {}",
        then="run",
    )


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
