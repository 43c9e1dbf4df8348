"""What weights of few bits cost a policy: rounded after its training, and tuned by `strl tune`.

    python -m benchmarks.bits            tune and measure: results/bits.json, the table in docs (half an hour)
    python -m benchmarks.bits --json     the same, and what was measured on stdout
    python -m benchmarks.bits --table    write the table between the markers of docs/quantisation.md again

Tunings are kept in runs/bits and continued from there. Every row also counts the spikes in which the tuned
module's forward pass and the kernel that runs its exported bundle differ, over at least 10 000 decisions.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import tables

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "bits.json"
DOCS = ROOT / "docs" / "quantisation.md"
RUNS = ROOT / "runs" / "bits"
START, STOP = "<!-- bits: made by `python -m benchmarks.bits --table` -->", "<!-- end of bits -->"
POLICIES = ("cartpole-mlp", "lunarlander-mlp", "acrobot-mlp")
BITS = (8, 4, 3, 2)
EPISODES = 100
DECISIONS = 10_000
LANES = 50
COLUMNS = (
    "policy",
    "bits",
    "float",
    "rounded",
    "tuned",
    "tuned − float",
    "decisions",
    "spikes",
    "unlike",
    "float unlike",
)


def measure(name: str) -> list[dict[str, Any]]:
    """A row for each width: returns of the float policy, and of its program rounded and tuned.

    All over the seeds 0..99. ``share`` is (tuned IQM − float IQM) ÷ the scale that ``strl compare`` uses,
    the range of the float returns but at least the size of their IQM.
    """
    import strl

    paths = {bits: _tuned(name, bits) for bits in BITS}
    with tqdm(total=(3 + 2 * len(BITS)) * EPISODES, desc=name, unit="episode") as bar:
        settings: dict[str, Any] = {"episodes": EPISODES, "progress": lambda _: bar.update()}
        base = strl.compare(name, **settings)
        rows = []
        for bits, path in paths.items():
            rounded = strl.evaluate(name, weight_bits=bits, **settings)
            tuned = strl.evaluate(str(path), **settings)
            share = (tuned.iqm - base.a.iqm) / base.scale
            rows.append(
                {
                    "policy": name,
                    "env": tuned.environment,
                    "weight_bits": bits,
                    "command": _command(name, bits),
                    "float": base.a.to_dict()["return"],
                    "rounded": rounded.to_dict()["return"],
                    "tuned": tuned.to_dict()["return"],
                    "scale": base.scale,
                    "share": share,
                    "within_5_percent": abs(share) <= 0.05,
                    "spikes": compare_spikes(path),
                }
            )
    return rows


def _command(name: str, bits: int) -> str:
    return f"strl tune {name} --weight-bits {bits} -o {name}-{bits}bit.safetensors"


def _tuned(name: str, bits: int) -> Path:
    from strl.policies import load_policy
    from strl.training.tune import Tuning, recipe, tune

    RUNS.mkdir(parents=True, exist_ok=True)
    path = RUNS / f"{name}-{bits}bit.safetensors"
    options = Tuning(weight_bits=bits, imitation=recipe(bits))
    tune(load_policy(name), options, path, command=_command(name, bits))
    return path


def compare_spikes(path: Path) -> dict[str, int]:
    """Run the tuned module, and the kernel with its exported bundle, on the same observations.

    The forward pass that was tuned acts. Counted are the neurons and ticks in which it spikes and the chip
    does not, or the other way round (``mismatched``), the decisions whose read-out is not the same number
    (``readouts``), and the places where the module's plain float pass differs (``float_mismatched``).
    """
    import torch

    from strl.chip.backend import backend
    from strl.chip.exporter import exporter
    from strl.chip.spec import chip
    from strl.loop.agent import FloatAgent
    from strl.loop.subject import resolve
    from strl.policies import load_policy
    from strl.quantize.neurons import Lif
    from strl.training.episodes import returns
    from strl.training.integer import ChipStudent

    torch.set_num_threads(1)  # networks this small are slower on more
    policy = load_policy(str(path))
    assert policy.weight_bits is not None
    student = ChipStudent(policy, chip=chip("loihi1"), weight_bits=policy.weight_bits)
    subject = resolve(str(path))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        exporter("loihi").export(replace(subject.artefact, compiled=subject.compiled()), bundle)
        program = resolve(str(bundle)).program()
    session = backend("loihi").load(program, batch=LANES)
    plain = FloatAgent(subject.network, subject.semantics, LANES)
    found = {"decisions": 0, "spikes": 0, "mismatched": 0, "readouts": 0, "float_mismatched": 0}
    neurons = [p for p in program.populations if isinstance(p.kind, Lif)]

    def act(observations: NDArray[Any]) -> NDArray[Any]:
        live = len(observations)
        padded = np.concatenate([observations, np.repeat(observations[:1], LANES - live, axis=0)])
        drive = student.drive(padded)
        with torch.no_grad():
            value, spikes = student.trace(drive)
        readout = value.numpy()[:live]
        decision = session.run(drive.numpy().astype(np.uint8))
        plain.act(padded)
        for population, mine in zip(neurons, spikes, strict=True):
            ticks = slice(population.offset, population.offset + program.schedule.ticks)
            theirs = decision.raster[:live, ticks, program.slices[population.name]]
            found["spikes"] += int(theirs.sum())
            found["mismatched"] += int((theirs != mine.numpy().swapaxes(0, 1)[:live]).sum())
            rounded = plain.raster[:live, :, plain.populations[population.name]]
            found["float_mismatched"] += int((theirs != rounded).sum())
        unlike = decision.readout[:live] * program.readout.unit != readout
        found["readouts"] += int(unlike.any(axis=1).sum())
        found["decisions"] += live
        return student.decoder.decode(readout, program.schedule.ticks)

    first = 0
    while found["decisions"] < DECISIONS:
        returns(act, program.semantics.environment.id, range(first, first + LANES), lanes=LANES)
        first += LANES
    session.close()
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    return tables.table(COLUMNS, [_cells(row) for row in rows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    spikes = row["spikes"]
    return [
        f"`{row['policy']}`",
        str(row["weight_bits"]),
        *(tables.iqm(row[what]) for what in ("float", "rounded", "tuned")),
        f"{row['share']:+.1%}",
        f"{spikes['decisions']:,}",
        f"{spikes['spikes']:,}",
        str(spikes["mismatched"]),
        str(spikes["float_mismatched"]),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="what was measured on stdout too")
    parser.add_argument("--table", action="store_true", help="write the table of the docs, measure nothing")
    args = parser.parse_args(argv)
    if not args.table:
        rows = [row for name in POLICIES for row in measure(name)]
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"rows": rows}, indent=1, sort_keys=True) + "\n", "utf-8")
    found = json.loads(RESULTS.read_text("utf-8"))
    text = tables.between(DOCS.read_text("utf-8"), START, STOP, table(found["rows"]))
    DOCS.write_text(text, "utf-8")
    if args.json:
        json.dump(found, sys.stdout, indent=1)
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
