"""A spiking transformer from nothing to a chip, and watched there: train, export, run, look.

    python examples/transformer.py maze-transformer --shipped   # the shipped policy, no training
    python examples/transformer.py maze-transformer --quick     # all steps in seconds, another policy
    python examples/transformer.py maze-transformer             # the training that the shipped policy is from

So for cartpole-hidden-transformer and lunarlander-transformer. docs/examples.md shows what comes out.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import strl

# Where each acts, and how little it is trained with --quick.
IMITATION = {"rounds": 1, "updates": 10, "lanes": 8, "steps": 50, "episodes": 10}
POLICIES: dict[str, tuple[str, dict[str, Any]]] = {
    "maze-transformer": ("strl/MazeSigns-v0", {"mazes": 300, "updates": 200, "lanes": 32}),
    "cartpole-hidden-transformer": ("strl/CartPoleHidden-v0", {"expert_steps": 4_000, **IMITATION}),
    "lunarlander-transformer": ("LunarLander-v3", {"expert_steps": 16_000, **IMITATION}),
}


def main(name: str, folder: Path, *, quick: bool, shipped: bool, episodes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{name}.safetensors"
    if not shipped:
        train(name, checkpoint, quick)
    policy = strl.load(name if shipped else str(checkpoint))

    bundle, nir = folder / f"{name}.bundle", folder / f"{name}.nir"
    strl.export(policy, bundle)  # the program of the chip: integers, placement, schedule
    strl.export(policy, nir, target="nir")  # the float network, for whatever else reads NIR
    print(f"exported   {bundle}, {nir}")

    found = strl.compare(bundle, episodes=episodes)  # the bundle holds both, and both see the same
    joules = found.b.energy["loihi1-silicon"].totals["core"].value
    print(f"float      return {found.a.iqm:.1f} (IQM of {episodes} episodes)")
    print(f"chip       return {found.b.iqm:.1f}, about {joules * 1e6:.2f} µJ a decision in the cores")
    print(f"           same action in {found.action_agreement:.2%} of all decisions")
    print(f"           digest {found.b.digest}")

    film = folder if find_spec("moviepy") else None
    seen = strl.watch(bundle, folder / "episode.svg", video=film)
    assert seen.episodes[0].digest == found.b.episodes[0].digest  # the very spikes that were compared
    print(f"watched    {folder / 'episode.svg'}: return {seen.iqm:.1f}; open it in any browser")
    print("film      ", next(film.glob("*.mp4")) if film else "needs pip install 'strl[video]'")


def train(name: str, checkpoint: Path, quick: bool) -> None:
    env, little = POLICIES[name]
    if quick:
        print(f"quick      trained for seconds, this will not be the shipped {name}")
    done = strl.train(env, checkpoint, policy="transformer", **(little if quick else {}))
    print(f"trained    {checkpoint}: return {done.test.mean():.1f} (mean of {len(done.test)} test seeds)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=POLICIES)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="train for seconds")
    how.add_argument("--shipped", action="store_true", help="do not train")
    parser.add_argument("--episodes", type=int, default=3, help="to compare float network and chip in (3)")
    parser.add_argument("-o", "--output", type=Path, help="folder (runs/NAME, or runs/NAME-quick)")
    args = parser.parse_args()
    folder = args.output or Path("runs", args.name + "-quick" * args.quick)
    main(args.name, folder, quick=args.quick, shipped=args.shipped, episodes=args.episodes)
