"""A spiking transformer for mazes, from the data of an optimal expert alone, as in STRL (arXiv 2505.14533).

``strl train --env strl/MazeSigns-v0 --policy transformer`` is this; so is, to go on from another's weights,

    python -m strl.training.maze_policy -o FILE --from FILE --weight-bits 4 [--env ID] [--seed S]
                                        [--updates N] [--spike-cost X]
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Box
from torch.utils.tensorboard import SummaryWriter

from strl.codecs import default_codec
from strl.environments import register
from strl.environments.maze import TARGET
from strl.errors import UsageError
from strl.ir.semantics import Readout, Semantics
from strl.loop.adopt import environment_spec
from strl.loop.statistics import iqm
from strl.policies.checkpoint import Checkpoint, load, save
from strl.policies.policy import SpikingPolicy
from strl.policies.threads import one_thread
from strl.policies.transformer import SpikingTransformer
from strl.training.episodes import TEST_SEEDS, VALIDATION_SEEDS, check_seed, make_env
from strl.training.files import run_folder
from strl.training.mazes import TEST_MAZES, TRAINING_MAZES, Episodes, collected
from strl.training.offline import Offline, OfflineRun, Streaming, accuracy
from strl.training.recipes import student_recipe
from strl.training.sequence import returns
from strl.training.shape import Shape
from strl.training.train import Trained, versions

TESTED = 200
"""Mazes of the test split that the record's accuracy is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MazeTraining(Shape):
    """What is trained, beside the network's ``Shape``.

    Args:
        env: ``strl/Maze-v0`` or ``strl/MazeSigns-v0``.
        precision, gain: of the direct encoder; with two bits a feature of 0 or 1 is one spike or none.
        seed: of everything but the data, which are the same for all.
        after: checkpoint whose weights are gone on from.
        offline: see ``Offline``.
    """

    env: str
    precision: int = 2
    gain: float = 2.0
    seed: int = 0
    after: str | None = None
    offline: Offline = field(default_factory=Offline)


def configure_maze(
    env: str, *, seed: int = 0, given: Mapping[str, Any], offline: Mapping[str, Any]
) -> MazeTraining:
    """The defaults, the environment's recipe over them, and over both what was given."""
    recipe = dict(student_recipe(env, policy="transformer"))
    learning = Offline(**{**recipe.pop("offline", {}), **offline})
    check_seed(seed)
    return MazeTraining(env=env, seed=seed, offline=learning, **{**recipe, **given})


def data(options: Offline, env: str) -> Episodes:
    """The training split's episodes, the same for every seed and learner."""
    return collected(env, TRAINING_MAZES[: options.mazes], noise=options.noise)


def train_maze(
    options: MazeTraining, output: Path, *, command: str = "", episodes: Callable[[], Episodes] | None = None
) -> Trained:
    """Train a policy and write its checkpoint to ``output``; as ``strl.training.train.train``.

    Args:
        episodes: gives others to learn from than ``data`` collects.

    Raises:
        UsageError: the run folder belongs to other options, or ``after`` to another architecture.
    """
    folder = run_folder(output, asdict(options))
    with one_thread():
        torch.manual_seed(options.seed)
        learner = Streaming(_policy(options), seed=options.seed)
        run = OfflineRun(learner, episodes or partial(data, options.offline, options.env), options.offline)
        with SummaryWriter(str(folder / "log")) as board:
            run.train(folder / "student.safetensors", board)
        exact = accuracy(learner, collected(options.env, TEST_MAZES[:TESTED], hindsight=False))
        learner.clear()
        validation = float(returns(learner, options.env, VALIDATION_SEEDS, lanes=50).mean())
        test = returns(learner, options.env, TEST_SEEDS, lanes=50)
    learned = TRAINING_MAZES[: options.offline.mazes]
    record = {
        "command": command,
        "offline": asdict(options.offline),
        "seeds": {
            "training": f"{options.seed}; mazes {learned[0]}..{learned[-1]}",
            "accuracy": f"mazes {TEST_MAZES[0]}..{TEST_MAZES[TESTED - 1]}",
            "test": f"{TEST_SEEDS[0]}..{TEST_SEEDS[-1]}, by which nothing was chosen",
        },
        "accuracy": exact,
        "returns": {"validation_mean": validation, "test_iqm": iqm(test), "test_mean": float(test.mean())},
        "versions": versions(),
    }
    save(Checkpoint(policy=learner.policy, record=record), output)
    return Trained(path=output, validation=validation, test=test)


def _policy(options: MazeTraining) -> SpikingPolicy:
    env = make_env(options.env)
    box = env.observation_space
    if not isinstance(box, Box) or len(box.shape) != 1:
        raise UsageError(f"{options.env}: is no maze", hint="strl/Maze-v0 or strl/MazeSigns-v0")
    # All features are 0 or 1 but the last, the return to go, which starts in the middle of its range.
    low, high = [-1.0] * box.shape[0], [1.0] * box.shape[0]
    low[-1], high[-1] = 2 * TARGET, 0.0
    coding = {"precision": options.precision, "gain": options.gain}
    encode, decode = default_codec(box, env.action_space, low=low, high=high, options=coding)
    config = options.config(inputs=encode.size, outputs=decode.size, unit=encode.unit)
    module = SpikingTransformer(config)
    if options.after is not None:
        _take_over(module, Path(options.after))
    return SpikingPolicy(
        module=module,
        semantics=Semantics(
            ticks=options.ticks,
            state="carry",
            rest=config.depth,
            readout=Readout(kind="membrane"),
            encoder=encode.to_dict(),
            decoder=decode.to_dict(),
            environment=environment_spec(options.env, env),
        ),
        weight_bits=options.weight_bits if options.weight_bits < 8 else None,
    )


def _take_over(module: SpikingTransformer, path: Path) -> None:
    before = load(path).policy.module
    if not isinstance(before, SpikingTransformer) or before.config != replace(
        module.config, weight_bits=before.config.weight_bits
    ):
        raise UsageError(f"{path}: is no such transformer", hint="give one of the same shape and environment")
    module.load_state_dict(before.state_dict())


def main(argv: Sequence[str] | None = None) -> int:
    register()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="what to write")
    parser.add_argument("--env", default="strl/MazeSigns-v0", metavar="ID")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--weight-bits", type=int, metavar="B", help="2..8 (default: 8)")
    parser.add_argument("--from", dest="after", metavar="FILE", help="policy to go on from")
    parser.add_argument("--updates", type=int, metavar="N", help="gradient steps")
    parser.add_argument("--spike-cost", type=float, metavar="X", help="loss per mean spike (default: 0)")
    args = parser.parse_args(argv)

    def told(*names: str) -> dict[str, Any]:
        return {name: getattr(args, name) for name in names if getattr(args, name) is not None}

    options = configure_maze(
        args.env, seed=args.seed, given=told("weight_bits", "after"), offline=told("updates", "spike_cost")
    )
    words = [args.output.name if w == str(args.output) else w for w in argv or sys.argv[1:]]
    command = shlex.join(["python", "-m", "strl.training.maze_policy", *words])
    done = train_maze(options, args.output, command=command)
    sys.stdout.write(f"{done.path}: mean return {done.test.mean():.6g} over {len(done.test)} test seeds\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
