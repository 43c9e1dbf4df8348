"""What ``import strl`` offers: train, load, export, evaluate, compare, watch, and a policy as an agent."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from strl.chip.exporter import exporter
from strl.errors import UsageError
from strl.loop.api import Given, agent, compare, evaluate, load, load_module, subject_of
from strl.loop.evaluate import Entrant
from strl.loop.results import Evaluation
from strl.loop.subject import Subject

if TYPE_CHECKING:
    from strl.training.train import Trained

__all__ = ["agent", "compare", "evaluate", "export", "load", "load_module", "train", "watch"]

Architecture = Literal["mlp", "transformer"]


def train(
    env: str,
    output: str | Path,
    *,
    policy: Architecture = "mlp",
    seed: int = 0,
    command: str = "",
    **options: Any,
) -> Trained:
    """Train a policy and write its checkpoint; what ``strl train`` does.

    An interrupted training goes on with the same call: ``output``.run beside it keeps what is finished.

    Args:
        env: Gymnasium id.
        output: the checkpoint, ``NAME.safetensors``.
        policy: ``mlp`` or ``transformer``.
        seed: of everything.
        command: for the checkpoint's record.
        options: what differs from the environment's recipe: fields of ``strl.training``'s ``Training``,
            ``SequenceTraining`` or ``MazeTraining`` (ticks, hidden, expert_steps, …), and of how it is
            learned, ``Imitation`` or for a transformer in mazes ``Offline`` (rounds, updates, …).

    Returns:
        The checkpoint's ``path``, the mean return in ``validation``, and the returns of ``test`` seeds.

    Raises:
        UsageError: an option that there is not or out of range, or the folder belongs to another training.
        EnvironmentFault: no such environment, or spaces without a codec.
        ChipError: no chip of ours holds a network of that size; said before anything is trained.
    """
    # Imported here: the libraries that train are slow to load, and whoever runs a policy needs none of them.
    from strl.training import maze_policy, recipes, train, transformer
    from strl.training.dagger import Imitation
    from strl.training.offline import Offline

    path = Path(output)
    if policy == "mlp":
        given, learning = _split(options, train.Training, Imitation)
        configured = train.configure(env, seed=seed, given=given, imitation=learning)
        return train.train(configured, path, command=command)
    if policy != "transformer":
        raise UsageError(f"there is no policy {policy!r}", hint="mlp or transformer")
    if "offline" in recipes.student_recipe(env, policy="transformer"):
        given, learning = _split(options, maze_policy.MazeTraining, Offline)
        maze = maze_policy.configure_maze(env, seed=seed, given=given, offline=learning)
        return maze_policy.train_maze(maze, path, command=command)
    given, learning = _split(options, transformer.SequenceTraining, Imitation)
    sequence = transformer.configure_sequence(env, seed=seed, given=given, imitation=learning)
    return transformer.train_transformer(sequence, path, command=command)


def export(
    subject: Given,
    path: str | Path,
    *,
    target: str = "loihi",
    chip: str | None = None,
    weight_bits: int | None = None,
    arithmetic: str | None = None,
    force: bool = False,
    **options: bool,
) -> tuple[Path, ...]:
    """Write a policy as a file or folder of another's; what ``strl export`` does.

    Args:
        subject: what ``load`` gave or takes, or a policy made in Python.
        path: the file, or the folder where the format is one.
        target: ``loihi`` (a bundle), ``nir``, ``onnx``, ``netx``, or the name of yours.
        chip, weight_bits, arithmetic: of the program, where the format holds one.
        force: replace what is at ``path``, whatever it is.
        options: the target's own, such as ``integer=True`` of ``onnx``.

    Returns:
        The files.

    Raises:
        UsageError: ``path`` holds something else, or the format no program that a chip could be named for.
        ChipError: the network does not fit the chip.
        BundleError: it cannot be written.
    """
    found = subject_of(subject)
    if not isinstance(found, Subject):
        raise UsageError(f"{found.name}: a {type(found).__name__} cannot be exported", hint="give a policy")
    made = exporter(target, **options)
    if not made.compiles:
        for name, value in (("chip", chip), ("weight_bits", weight_bits), ("arithmetic", arithmetic)):
            if value is not None:
                raise UsageError(f"{name}: target {target!r} holds no program of a chip", hint="leave it out")
    compiled = found.compiled(chip, weight_bits, arithmetic) if made.compiles else None
    return made.export(replace(found.artefact, compiled=compiled), Path(path), force=force)


def watch(
    subject: Given,
    picture: str | Path,
    *,
    backend: str = "loihi",
    seed: int = 0,
    env: str | None = None,
    video: str | Path | None = None,
) -> Evaluation:
    """Play one episode and draw it: frames, what was observed, who spiked, what was done.

    Args:
        subject: what ``load`` gave or takes, or a policy made in Python.
        picture: the file, an SVG.
        backend: what runs it; ``float`` is the network itself.
        seed: of the episode.
        env: the policy's own where it is not given.
        video: folder for a film of it (.mp4).

    Raises:
        UsageError: the picture is no ``.svg`` or no place for a file; or a package for films is missing.
        StrlError: as ``strl.loop.evaluate.evaluate``'s; or what is drawn or filmed cannot be written.
    """
    from strl.report.episode import watched

    return watched(
        Entrant.of(subject_of(subject), backend),
        picture=Path(picture),
        env=env,
        episodes=1,
        seed=seed,
        video=None if video is None else Path(video),
    )


def _split(options: dict[str, Any], what: type, how: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of what is trained, and of how it is learned."""
    of_what, of_how = ({f.name for f in fields(kind)} for kind in (what, how))
    own = {"env", "seed", "imitation", "offline", "after"}
    for name in options:
        if name in own or name not in of_what | of_how:
            known = ", ".join(sorted((of_what | of_how) - own))
            raise UsageError(f"train has no option {name!r} here", hint=f"there are {known}")
    given = {name: value for name, value in options.items() if name in of_what}
    return given, {name: value for name, value in options.items() if name not in of_what}
