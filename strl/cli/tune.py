"""strl tune: a trained policy in, one for weights of fewer bits out."""

from __future__ import annotations

import argparse

from strl.cli import learning


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("policy", metavar="POLICY", help="a checkpoint of `strl train`, or a shipped name")
    parser.add_argument(
        "--weight-bits", type=int, required=True, metavar="B", help="of a weight, 2 to the chip's own (8)"
    )
    parser.add_argument("--env", metavar="ID", help="Gymnasium environment (default: the policy's own)")
    parser.add_argument("--chip", default="loihi1", metavar="NAME", help="chip, or the path of its TOML file")
    learning.add(parser)


def run(args: argparse.Namespace) -> int:
    """Tune, or go on where an interrupted tuning stopped."""
    from dataclasses import replace

    from strl.errors import UsageError
    from strl.policies import load_policy
    from strl.training.tune import Tuning, recipe, tune

    if not 0 <= args.seed < 1000:
        raise UsageError(f"seed = {args.seed}, must be 0..999")
    options = Tuning(
        weight_bits=args.weight_bits,
        imitation=replace(recipe(args.weight_bits), **learning.given(args, ("rounds", "updates"))),
        env=args.env,
        chip=args.chip,
        seed=args.seed,
    )
    policy = load_policy(args.policy)
    return learning.learn(
        args,
        lambda output, command: tune(policy, options, output, command=command),
        what={"weight_bits": args.weight_bits},
        returned=f"IQM {{}} at {args.weight_bits} bits",
        then="compare",
    )
