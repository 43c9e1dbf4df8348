"""The conventional network beside the spiking one: each shipped policy's teacher, in float32 and in int8.

    python -m benchmarks.baselines           train what is missing, measure: results/baselines.json (minutes)
    python -m benchmarks.baselines --table   print the committed file as Markdown, measure nothing

A teacher is the expert that `strl train` trained for the policy, by the recipe in strl/training/recipes.toml.
It is kept in runs/baselines and trained there if it is not (CartPole a minute, LunarLander a quarter of an
hour); its policy network is written as ONNX, and quantised by onnxruntime's own static quantiser (QDQ, int8
weights and activations, calibrated on what the teacher sees in validation episodes).

Returns are of one episode for each of the seeds 0..99, latencies of one observation at a time on one core of
this machine in onnxruntime (``kernel_s``: in our kernel, codec included); ``chip_s`` is what the chip itself
would take by its published figures. ``load`` is the machine's load average before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.onnx import OnnxExporter
from exporters.onnx.graph import BATCH, Body, Port, model
from exporters.onnx.runtime import session
from strl.energy import estimate, profiles
from strl.loop.agent import ChipAgent
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.statistics import interval, iqm
from strl.loop.subject import Subject, resolve
from strl.training.episodes import TEST_SEEDS, VALIDATION_SEEDS, make_env, returns
from strl.training.expert import train_expert
from strl.training.files import read_tensors
from strl.training.recipes import expert_recipe

ROOT = Path(__file__).resolve().parents[1]
RESULT, KEPT = ROOT / "results" / "baselines.json", ROOT / "runs" / "baselines"
POLICIES = ("cartpole-mlp", "acrobot-mlp", "lunarlander-mlp")
RECORDED, CALLS, WARM = 2000, 2000, 200

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Something that plays: how, from one observation, and how large its file is."""

    act: Callable[[Array], Array]
    single: Callable[[Array], Any]
    bytes: int


def teacher(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The policy network of a PPO expert (tanh between its layers) as an ONNX model in float32."""
    layers = sorted({k.rsplit(".", 1)[0] for k in tensors if k.startswith("mlp_extractor.policy_net.")})
    b, x = Body(), "observation"
    for number, layer in enumerate([*layers, "action_net"]):
        if number:
            x = b.op("Tanh", x)
        weight = b.weight(f"{layer}.weight", tensors[f"{layer}.weight"].T.numpy(), np.float32)
        bias = b.weight(f"{layer}.bias", tensors[f"{layer}.bias"].numpy(), np.float32)
        x = b.op("Gemm", x, weight, bias)
    b.op("ArgMax", x, axis=1, keepdims=0, out="action")
    features = tensors[f"{layers[0]}.weight"].shape[1]
    return model(
        "teacher",
        b,
        inputs=[Port(name="observation", dtype=np.float32, shape=(BATCH, features))],
        outputs=[Port(name="action", dtype=np.int64, shape=(BATCH,))],
        functions=[],
        metadata={},
    )


def quantised(data: bytes, seen: Array) -> bytes:
    """The model in int8 with QDQ nodes, calibrated on observations [n, features]."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows = iter(seen.astype(np.float32))

        def get_next(self) -> dict[str, Array] | None:
            row = next(self._rows, None)
            return None if row is None else {"observation": row[None]}

    with tempfile.TemporaryDirectory() as folder:
        before, after = (Path(folder) / name for name in ("fp32.onnx", "int8.onnx"))
        before.write_bytes(data)
        quantize_static(
            str(before),
            str(after),
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        return after.read_bytes()


def recorded(act: Callable[[Array], Array], env_id: str) -> Array:
    """What the teacher sees in validation episodes."""
    env, seen = make_env(env_id), []
    for seed in VALIDATION_SEEDS:
        now, over = env.reset(seed=seed)[0], False
        while not over and len(seen) < RECORDED:
            seen.append(now)
            now, _, ended, cut, _ = env.step(act(now[None])[0])
            over = ended or cut
    env.close()
    return np.stack(seen)


def conventional(data: bytes) -> Variant:
    """A teacher in onnxruntime."""
    run = session(data).run

    def act(observations: Array) -> Array:
        return np.asarray(run(["action"], {"observation": observations.astype(np.float32)})[0])

    return Variant(act=act, single=act, bytes=len(data))


def spiking(subject: Subject, *, integer: bool) -> Variant:
    """The policy in onnxruntime: the float network's decision, or the chip's program."""
    from exporters.onnx.exporter import states
    from strl.chip.exporter import Artefact

    held = subject.artefact
    compiled = subject.compiled() if integer else None
    artefact = Artefact(
        name=held.name, network=held.network, semantics=held.semantics, proof={}, compiled=compiled
    )
    data = OnnxExporter(integer=integer).model(artefact)
    run, memory = session(data).run, states(data)

    def act(observations: Array) -> Array:
        zeros = {m["name"]: np.zeros((len(observations), *m["shape"][1:]), m["dtype"]) for m in memory}
        return np.asarray(run(["action"], {"observation": observations.astype(np.float64), **zeros})[0])

    zeros = {m["name"]: np.zeros((1, *m["shape"][1:]), m["dtype"]) for m in memory}

    def single(observation: Array) -> Any:
        return run(["action"], {"observation": observation, **zeros})

    return Variant(act=act, single=single, bytes=len(data))


def latency(single: Callable[[Array], Any], rows: Sequence[Array]) -> dict[str, float]:
    """Seconds of a call with one observation: the median, and the 5th and 95th of a hundred."""
    taken = []
    for number in range(WARM + CALLS):
        row = rows[number % len(rows)]
        began = time.perf_counter()
        single(row)
        taken.append(time.perf_counter() - began)
    low, middle, high = np.quantile(taken[WARM:], [0.05, 0.5, 0.95]).tolist()
    return {"median": middle, "p5": low, "p95": high}


def summary(values: Array) -> dict[str, Any]:
    low, high = interval(values) or (float("nan"),) * 2
    return {"iqm": iqm(values), "mean": float(values.mean()), "std": float(values.std()), "ci95": [low, high]}


def measure(name: str) -> dict[str, Any]:
    """One policy's rows."""
    subject = resolve(name)
    env_id, load = subject.semantics.environment.id, [os.getloadavg()[0]]
    recipe, path = expert_recipe(env_id, discrete=True), KEPT / f"{env_id}.expert.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    expert = train_expert(env_id, recipe, seed=0, path=path)
    seen = recorded(expert, env_id)
    single = [row[None].astype(np.float32) for row in seen[:256]]
    double = [row.astype(np.float64) for row in single]
    fp32 = teacher(read_tensors(path))
    variants = {"teacher fp32": conventional(fp32), "teacher int8": conventional(quantised(fp32, seen))}
    rows: dict[str, Any] = {"teacher": {"returns": summary(returns(expert, env_id, TEST_SEEDS))}}
    wanted = np.asarray(expert(seen))
    for label, variant in variants.items():
        rows[label] = {
            "returns": summary(returns(variant.act, env_id, TEST_SEEDS)),
            "same_action_as_teacher": float((variant.act(seen) == wanted).mean()),
            "latency_s": latency(variant.single, single),
            "bytes": variant.bytes,
        }
    for label, backend, integer in (("spiking float", "float", False), ("spiking chip", "loihi", True)):
        variant = spiking(subject, integer=integer)
        found = evaluate(Entrant.of(subject, backend), episodes=len(TEST_SEEDS))
        rows[label] = {
            "returns": summary(found.returns),
            "same_action_as_teacher": float((variant.act(seen) == wanted).mean()),
            "latency_s": latency(variant.single, double),
            "bytes": variant.bytes,
        }
        if found.activity is not None:
            program = subject.program()
            report = estimate(program, found.activity, profiles(program)[0]).to_dict()
            agent = ChipAgent(program, "loihi")
            rows[label] |= {"kernel_s": latency(agent.act, double), "chip_s": report["decision_s"]}
    load.append(os.getloadavg()[0])
    return {
        "env": env_id,
        "expert": {"steps": recipe.steps, "source": recipe.source},
        "rows": rows,
        "load": load,
    }


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["| environment | what | IQM of 100 returns | same action | latency in onnxruntime (5..95 %) |"]
    lines.append("|---|---|---|---|---|")
    for found in result["policies"].values():
        for label, row in found["rows"].items():
            returned, same, taken = row["returns"], row.get("same_action_as_teacher"), row.get("latency_s")
            low, high = returned["ci95"]
            cells = [found["env"], label, f"{returned['iqm']:.1f} [{low:.1f}, {high:.1f}]"]
            cells.append("" if same is None else f"{same:.1%}")
            cells.append("" if taken is None else _micro(taken))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _micro(taken: Mapping[str, float]) -> str:
    return f"{taken['median'] * 1e6:.0f} µs ({taken['p5'] * 1e6:.0f}..{taken['p95'] * 1e6:.0f})"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="POLICY", help=f"default: {', '.join(POLICIES)}")
    parser.add_argument("--table", action="store_true", help="print the committed file")
    args = parser.parse_args(argv)
    if not args.table:
        torch.set_num_threads(1)
        result: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"policies": {}}
        for name in args.names or POLICIES:
            result["policies"][name] = measure(name)
        packages = ("strl", "onnx", "onnxruntime", "torch", "stable-baselines3", "gymnasium", "numpy")
        result["versions"] = {package: version(package) for package in packages}
        result["machine"] = {"processor": platform.machine(), "cores": os.cpu_count()}
        RESULT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", "utf-8")
    sys.stdout.write(table(json.loads(RESULT.read_text("utf-8"))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
