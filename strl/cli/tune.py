"""strl tune: a trained policy in, one for weights of fewer bits out."""

from __future__ import annotations

import argparse
import sys


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("policy", metavar="POLICY", help="a checkpoint of `strl train`, or a shipped name")
    parser.add_argument(
        "--weight-bits", type=int, required=True, metavar="B", help="of a weight, 2 to the chip's own (8)"
    )
    parser.add_argument("--env", metavar="ID", help="Gymnasium environment (default: the policy's own)")
    parser.add_argument("--chip", default="loihi1", metavar="NAME", help="chip, or the path of its TOML file")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of everything (default: 0)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of imitation")
    parser.add_argument("--updates", type=int, metavar="N", help="gradient steps a round")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the checkpoint to write")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Tune, or go on where an interrupted tuning stopped."""
    from dataclasses import replace
    from pathlib import Path

    from strl.cli.output import emit, say
    from strl.errors import UsageError
    from strl.loop.statistics import iqm
    from strl.policies import load_policy
    from strl.training.train import command_line
    from strl.training.tune import Tuning, recipe, tune

    if not 0 <= args.seed < 1000:
        raise UsageError(f"seed = {args.seed}, must be 0..999")
    given = {n: getattr(args, n) for n in ("rounds", "updates") if getattr(args, n) is not None}
    options = Tuning(
        weight_bits=args.weight_bits,
        imitation=replace(recipe(args.weight_bits), **given),
        env=args.env,
        chip=args.chip,
        seed=args.seed,
    )
    output = Path(args.output)
    command = command_line(sys.argv[1:], output)
    done = tune(load_policy(args.policy), options, output, command=command)
    if args.json:
        emit(
            {
                "policy": str(done.path),
                "weight_bits": args.weight_bits,
                "seed": args.seed,
                "validation_mean": done.validation,
                "test": {"episodes": len(done.test), "iqm": iqm(done.test), "mean": float(done.test.mean())},
            }
        )
    else:
        value = iqm(done.test)
        say(f"{done.path}: IQM {value:.6g} at {args.weight_bits} bits over {len(done.test)} test seeds")
        say(f"next: strl compare {done.path}")
    return 0
