"""Policies: the MLP's neurons, checkpoints good and bad, a user's own factory, the shipped ones."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode

from exporters.snntorch import to_network
from hardware_sims.loihi import DefinitionBackend
from strl.chip.compile import compile_network
from strl.chip.spec import chip
from strl.cli import main
from strl.codecs import decoder, encoder
from strl.errors import ModelError
from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.ir.reference import Reference
from strl.policies import Checkpoint, SpikingPolicy, load, load_policy, save, shipped
from strl.policies.attention import KINDS
from strl.policies.checkpoint import header
from strl.policies.mlp import MLPConfig, SpikingMLP
from strl.policies.transformer import TransformerConfig


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower, and on a busy machine far slower, on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def policy(**settings: Any) -> SpikingPolicy:
    torch.manual_seed(0)
    config = MLPConfig(inputs=3, outputs=2, **{"hidden": (5, 4), **settings})
    semantics = Semantics(
        ticks=4,
        state="reset",
        readout=Readout(kind=config.readout),
        encoder={"kind": "rate", "low": [-1.0] * 3, "high": [1.0] * 3, "random": False},
        decoder={"kind": "argmax", "actions": 2, "per_action": 1, "first": 0},
        environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(3,), actions=2),
    )
    return SpikingPolicy(module=SpikingMLP(config), semantics=semantics)


@pytest.mark.parametrize("neuron", ["leaky", "synaptic"])
@pytest.mark.parametrize("readout", ["membrane", "count"])
def test_a_checkpoint_is_the_policy(tmp_path: Path, neuron: str, readout: str) -> None:
    made = policy(neuron=neuron, readout=readout, alpha=0.3, beta=0.7)
    with torch.no_grad():
        made.module.lif1.threshold.fill_(1.25)
    save(Checkpoint(policy=made, record={"command": "none"}), tmp_path / "a")
    save(Checkpoint(policy=made, record={"command": "none"}), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]

    found = load(tmp_path / "a")
    assert found.record == {"command": "none"}
    assert found.policy.semantics == made.semantics
    assert found.policy.module.config == made.module.config
    x = torch.rand(6, 3)
    for _ in range(5):
        assert torch.equal(made.module(x), found.policy.module(x))
    assert torch.equal(made.module.out.mem, found.policy.module.out.mem)
    assert float(found.policy.module.lif1.threshold) == 1.25


def test_retentions_are_on_the_chips_grid() -> None:
    module = policy(neuron="synaptic", alpha=0.3333, beta=0.7777).module
    for value in (module.lif1.alpha, module.lif1.beta, module.out.beta):
        assert float(value) * 4096 == round(float(value) * 4096)


def test_neurons_reset_to_zero_in_the_tick_of_the_spike() -> None:
    module = policy().module
    module(torch.ones(1, 3) * 50)
    spiked = module.lif1(torch.full((1, 5), 100.0)) > 0
    assert spiked.all()
    assert (module.lif1.mem == 0).all()


def test_a_membrane_read_out_never_resets() -> None:
    module = policy(readout_beta=0.5).module
    for expected in (10.0, 15.0, 17.5):
        module.out(torch.full((1, 2), 10.0))
        assert (module.out.mem == expected).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": ()}, "0 hidden layers"),
        ({"hidden": (4, 0)}, r"hidden\[1\] = 0"),
        ({"neuron": "lapicque"}, "neuron = 'lapicque'"),
        ({"beta": 1.0}, "beta = 1.0"),
        ({"alpha": float("nan")}, "alpha = nan"),
        ({"readout": "rate"}, "readout = 'rate'"),
    ],
)
def test_bad_configurations_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        MLPConfig(inputs=1, outputs=1, **settings)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "policy.safetensors"
    save(Checkpoint(policy=policy()), path)
    return path


def change(path: Path, edit: Any) -> None:
    """Write the checkpoint again with an edited header entry, and the digest that goes with it."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + length])
    entry = json.loads(table.pop("__metadata__")["strl"])
    del entry["digest"]
    edit(entry)
    said = json.dumps([entry, table], sort_keys=True).encode()
    entry["digest"] = hashlib.sha256(said + data[8 + length :]).hexdigest()
    text = json.dumps({**table, "__metadata__": {"strl": json.dumps(entry)}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such file"):
        load(tmp_path / "nothing")


def test_a_folder_is_not_a_policy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("keep", [0, 3, 8, 100, -1, -50])
def test_a_truncated_file(kept: Path, keep: int) -> None:
    kept.write_bytes(kept.read_bytes()[:keep])
    with pytest.raises(ModelError):
        load(kept)


def test_a_longer_file(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes() + b"x")
    with pytest.raises(ModelError, match="its header promises"):
        load(kept)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is not a checkpoint at all",
        pickle.dumps({"weights": [1, 2, 3]}),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 20) + b'{"__metadata__": 17} ',
        struct.pack("<Q", 4000) + b"[" * 4000,
    ],
)
def test_a_foreign_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "foreign"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"is not a policy of strl's"):
        load(path)


def test_other_peoples_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2, 2)}, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"is not a policy of strl's"):
        load(path)


def test_a_newer_file(kept: Path) -> None:
    change(kept, lambda entry: entry.update(version=3, strl="9.0"))
    with pytest.raises(ModelError, match="format 3, this strl") as raised:
        load(kept)
    assert "9.0" in raised.value.hint


def test_a_file_from_before_there_was_a_digest(kept: Path) -> None:
    change(kept, lambda entry: entry.update(version=1))
    with pytest.raises(ModelError, match="format 1, written before checkpoints had a digest") as raised:
        load(kept)
    assert "strl train" in raised.value.hint


def test_no_byte_changes_unnoticed(kept: Path) -> None:
    whole = kept.read_bytes()
    load(kept)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        kept.write_bytes(changed)
        with pytest.raises(ModelError):
            header(kept)


def test_another_policys_weights(kept: Path, tmp_path: Path) -> None:
    """Whole, finite, of the right shapes: only the digest tells."""
    other = policy()
    with torch.no_grad():
        other.module.linear1.weight[0, 0] += 1
    save(Checkpoint(policy=other), tmp_path / "other")
    weights = sum(value.numel() for value in other.module.parameters()) + 2
    kept.write_bytes(kept.read_bytes()[: -4 * weights] + (tmp_path / "other").read_bytes()[-4 * weights :])
    with pytest.raises(ModelError, match="its digest is not that of its weights"):
        load(kept)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda e: e.pop("semantics"), "lacks or garbles 'semantics'"),
        (lambda e: e["semantics"].update(ticks=0), "ticks = 0"),
        (lambda e: e["semantics"].update(ticks="8"), "ticks = '8'"),
        (lambda e: e["semantics"].update(colour="red"), "field 'colour' is unknown"),
        (lambda e: e["semantics"]["environment"].pop("id"), "field 'id' is missing"),
        (lambda e: e["architecture"].update(kind="gpt"), "architecture 'gpt'"),
        (lambda e: e["architecture"].update(colour="red"), "colour"),
        (lambda e: e["architecture"].update(hidden=[5]), "tensor 'lif2.threshold' is too much"),
        (
            lambda e: e["architecture"].update(hidden=[5, 3]),
            r"tensor 'linear2.weight' is torch.float32 \[4, 5\]",
        ),
        (lambda e: e["architecture"].update(hidden=[10**9]), r"hidden\[0\] = 1000000000"),
        (lambda e: e["architecture"].update(hidden=7), "garbled"),
    ],
)
def test_a_garbled_header(kept: Path, edit: Any, message: str) -> None:
    change(kept, edit)
    with pytest.raises(ModelError, match=message):
        load(kept)


class Largest(TorchDispatchMode):
    """Numbers of the largest tensor that memory was taken for."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.device.type != "meta":
            self.numbers = max(self.numbers, made.numel())
        return made


@pytest.mark.parametrize(
    "architecture",
    [
        {"kind": "mlp", **MLPConfig(inputs=3, outputs=2, hidden=(4096, 4096)).to_dict()},
        *(
            {
                "kind": "transformer",
                **TransformerConfig(inputs=4096, outputs=2, width=1024, attention=kind).to_dict(),
            }
            for kind in KINDS
        ),
    ],
    ids=lambda described: described.get("attention", described["kind"]),
)
def test_an_architecture_that_the_weights_are_not_of_takes_no_memory(
    kept: Path, architecture: dict[str, Any]
) -> None:
    def edit(entry: dict[str, Any]) -> None:
        entry["architecture"] = architecture

    change(kept, edit)
    with Largest() as seen, pytest.raises(ModelError, match="tensor "):
        load(kept)
    assert 0 < seen.numbers < 10_000


def test_an_architecture_that_leaves_fields_to_defaults(kept: Path) -> None:
    """Today's defaults need not be those that it was trained with."""

    def edit(entry: dict[str, Any]) -> None:
        del entry["architecture"]["alpha"]

    change(kept, edit)
    with pytest.raises(ModelError, match="'mlp' does not say alpha"):
        load(kept)


def test_weights_that_are_not_finite(kept: Path) -> None:
    made = policy()
    with torch.no_grad():
        made.module.linear1.weight[0, 0] = float("nan")
    save(Checkpoint(policy=made), kept)
    with pytest.raises(ModelError, match=r"'linear1.weight' holds a value that is not finite"):
        load(kept)


def test_a_users_own_module_is_not_a_checkpoint(tmp_path: Path) -> None:
    own = SpikingPolicy(module=torch.nn.Linear(1, 1), semantics=policy().semantics)
    with pytest.raises(ModelError, match="a Linear cannot be kept") as raised:
        save(Checkpoint(policy=own), tmp_path / "own")
    assert "file.py:factory" in raised.value.hint


OWN = """
from strl.policies import shipped, load

def make():
    return load(shipped()["cartpole-mlp"]).policy

def wrong():
    return 3

def broken():
    return 1 / 0

not_a_function = 4
"""


def test_a_users_own_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    assert load_policy(f"{file}:make").semantics == load_policy("cartpole-mlp").semantics
    for name, message in {
        "wrong": "returned a int, must be a strl.policies.policy.SpikingPolicy",
        "broken": "raised ZeroDivisionError: division by zero",
        "mak": "there is no function 'mak'",
        "not_a_function": "there is no function",
    }.items():
        with pytest.raises(ModelError, match=message) as raised:
            load_policy(f"{file}:{name}")
        assert raised.value.hint
    with pytest.raises(ModelError, match=r"see line 11 of own\.py"):
        load_policy(f"{file}:broken")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"own\.py:broken: raised(.|\n)*see line 11 of own\.py"):
        load_policy("own.py:broken")
    with pytest.raises(ModelError, match="which function makes the policy"):
        load_policy(str(file))
    with pytest.raises(ModelError, match="there is no such file"):
        load_policy(f"{tmp_path}/none.py:make")
    file.write_text("def broken(:\n")
    with pytest.raises(ModelError, match=r"SyntaxError(.|\n)*see line 1 of own.py"):
        load_policy(f"{file}:make")


def test_an_unknown_name_is_answered_with_a_known_one() -> None:
    with pytest.raises(ModelError, match="did you mean 'cartpole-mlp'"):
        load_policy("cartpol-mlp")


LEAST = {
    "cartpole-mlp": 495,
    "lunarlander-mlp": 220,
    "acrobot-mlp": -90,
    "cartpole-hidden-transformer": 495,
    "cartpole-hidden-transformer-4bit": 495,
    "lunarlander-transformer": 220,
    "maze-transformer": -60,
}
"""Returns that the shipped policies must reach."""


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_policies_say_how_they_were_made(name: str) -> None:
    found = load(shipped()[name])
    semantics, record = found.policy.semantics, found.record
    env_id, kind = semantics.environment.id, "" if name.endswith("-mlp") else " --policy transformer"
    kind += " --weight-bits 4" if name.endswith("-4bit") else ""
    assert record["command"] == f"strl train --env {env_id}{kind} --seed 0 -o {name}.safetensors"
    assert record["seeds"]["test"].startswith("0..99")
    assert record["returns"]["test_iqm"] >= LEAST[name]
    config = found.policy.module.config
    assert encoder(semantics.encoder).size == config.inputs
    assert decoder(semantics.decoder).size == config.outputs
    assert semantics.ticks <= 8


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_spike_of_a_shipped_policy_is_one_of_the_chips(name: str) -> None:
    """Trained on the chip's grid: over observations far and wide, float and integers spike alike."""
    found = load_policy(name)
    semantics, code = found.semantics, encoder(found.semantics.encoder)
    network = to_network(found)
    program = compile_network(network, semantics, chip("loihi1")).program
    batch, rng = 300, np.random.default_rng(0)
    low, high = (np.array(semantics.encoder[which]) for which in ("low", "high"))
    observations = low + (high - low) * rng.random((batch, len(low)))
    levels = code.encode(observations, semantics.ticks, [rng] * batch)

    made = DefinitionBackend().load(program, batch=batch).run(program.spikes(levels))
    reference = Reference(network, batch)
    spikes = [reference.tick(levels[t] * code.unit) for t in range(semantics.ticks)]
    for population in reference.populations:
        start = program.population(population).offset
        raster = made.raster[:, start : start + semantics.ticks, program.slices[population]]
        wanted = np.stack([tick[population] for tick in spikes], axis=1)
        if network.nodes[population].silent:
            wanted = np.zeros_like(wanted)  # its potential, which is no spike
        assert population == "out" or wanted.any()
        assert (raster != wanted).mean() < 1e-4
    readout = made.readout * program.readout.unit
    assert np.abs(readout - reference.potential("out")).max() < 0.01
    assert (readout.argmax(axis=1) == reference.potential("out").argmax(axis=1)).all()


def test_all_of_them_are_shipped() -> None:
    assert set(shipped()) == set(LEAST)


def test_the_shipped_cartpole_balances() -> None:
    from strl.training.episodes import returns
    from strl.training.student import Student

    np.testing.assert_array_equal(returns(Student(load_policy("cartpole-mlp")), "CartPole-v1", range(3)), 500)


def test_strl_policies_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policies", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["policies"]
    assert set(found) == set(shipped())
    assert found["cartpole-mlp"]["network"] == "4-64-64-2"
    assert main(["policies"]) == 0
    assert "strl train --env CartPole-v1" in capsys.readouterr().out
