"""A chip's file: every limit is there, whole and in its range, or one error says which is not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strl.chip.compile import compile_network
from strl.chip.fit import utilization
from strl.chip.limits import RANGES
from strl.chip.place import place, usage
from strl.chip.spec import chip, chips, parse
from strl.cli import main
from strl.errors import ChipError
from strl.quantize.network import Population, QuantizedNetwork, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Lif, Source
from strl.testing.policies import pole_network, pole_semantics

LOIHI = chip("loihi1").toml


def with_limit(name: str, entry: str) -> str:
    """Loihi 1 with another entry for a limit."""
    made, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {entry}", LOIHI)
    assert count == 1
    return made


def limit(value: str) -> str:
    return f'{{ value = {value}, status = "primary", source = "made up" }}'


@pytest.mark.parametrize("name", chips())
def test_the_shipped_chips_state_every_limit(name: str) -> None:
    assert set(chip(name).limits) == set(RANGES)


@pytest.mark.parametrize("name", RANGES)
def test_a_missing_limit_is_named(name: str) -> None:
    with pytest.raises(ChipError, match=f"mine: limits: {name} is missing"):
        parse(re.sub(rf"(?m)^{name} = .*$", "", LOIHI), "mine")


@pytest.mark.parametrize("name", RANGES)
def test_a_limit_has_a_range(name: str) -> None:
    low, high = RANGES[name]
    for value in (low - 1, high + 1, low + 0.5):
        with pytest.raises(ChipError, match=rf"limits\.{name}: value = .* must be a whole number in {low}"):
            parse(with_limit(name, limit(str(value))), "mine")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (limit("true"), "limits.cores.value = True, must be a finite number"),
        (limit('"128"'), "limits.cores.value = '128', must be a finite number"),
        (limit("1" + 400 * "0"), "must be a finite number"),
        (limit("inf"), "must be a finite number"),
        (limit("2000"), "cores: value = 2000, its tiles have room for 128"),
        ("128", "limits.cores = 128, must be a table"),
        ("{ value = 128 }", "limits.cores: source is missing"),
        ('{ value = 128, status = "sure", source = "x" }', "status = 'sure'"),
        ('{ value = 128, status = "primary", source = 1 }', "source = 1"),
        ('{ value = 128, status = "primary", source = "x", colour = 1 }', "no 'colour' in a figure"),
    ],
)
def test_odd_limits(entry: str, message: str) -> None:
    with pytest.raises(ChipError, match=message):
        parse(with_limit("cores", entry), "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            LOIHI.replace("[limits]", f"[limits]\ncorse = {limit('1')}"),
            "limits.corse: there is no such limit",
        ),
        (LOIHI.replace("[limits]", "[limts]"), "it has no 'limits'"),
        (LOIHI.replace('name = "loihi1"', ""), "it has no 'name'"),
        (LOIHI.replace('name = "loihi1"', "name = 7"), "name = 7, must be a name"),
        (LOIHI.replace('name = "loihi1"', 'name = "a\\u0000b"'), "must be a name of at most 64 letters"),
        (LOIHI.replace('name = "loihi1"', 'name = "a\\nb"'), "must be a name"),
        (LOIHI.replace('name = "loihi1"', 'name = "../../x"'), "must be a name"),
        (LOIHI.replace('name = "loihi1"', 'name = ".."'), "must be a name"),
        (LOIHI.replace('name = "loihi1"', 'name = ""'), "must be a name"),
        (LOIHI.replace('name = "loihi1"', f'name = "{65 * "a"}"'), "must be a name"),
        (LOIHI.replace("[energy.loihi1-davies]", '[energy."a\\nb"]'), "energy = 'a.nb', must be a name"),
        (LOIHI.replace("value = 69.3e-12", "value = 1e308"), "1e.308, must be at most 1 J"),
        (LOIHI.replace("value = 113e-9", "value = 3601"), "3601 to 3601, must be at most 3600 s"),
        (LOIHI.replace("low = 0.030, high = 0.180", "low = 0.030, high = 2e6"), "must be at most 1e.06 W"),
        (with_limit("cores", limit("128")[:-1] + ", high = 1e308 }"), "must be at most 9.0072e.15 1"),
        (LOIHI + "\n[more]\nx = 1\n", "there is no 'more' in a chip"),
        ("]", "not a chip"),
    ],
)
def test_odd_files(text: str, message: str) -> None:
    with pytest.raises(ChipError, match=message):
        parse(text, "mine")


def test_a_file_that_is_no_text_ends_a_command_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"name = '\xff'")
    assert main(["export", "cartpole-mlp", "--chip", str(path), "-o", str(tmp_path / "b")]) == 4
    said = capsys.readouterr().err
    assert "mine.toml: not a chip" in said
    assert "UTF-8" in said
    assert not (tmp_path / "b").exists()


def test_a_core_sends_to_no_more_than_it_has_axons_for() -> None:
    """16 hidden neurons, one core to reach: 16 axons. Where a core has 10, they go on two."""

    def cores(axons: int) -> list[dict[str, object]]:
        spec = parse(with_limit("output_axons", limit(str(axons))), "mine")
        each = utilization(compile_network(pole_network(), pole_semantics(), spec))["each"]
        return [core["limits"]["output_axons"] for core in each]

    assert cores(16) == [{"used": 16, "limit": 16, "share": 1.0}]
    assert [core["used"] for core in cores(10)] == [10, 6]


def test_a_wide_layer_before_a_wide_one_is_spread_until_its_axons_suffice() -> None:
    """1000 neurons that reach 9 cores need 9000 axons, of which a core has 4096."""
    spec = chip("loihi1")
    rng = np.random.default_rng(0)
    lif = Lif(du=np.full(1000, 4095), dv=np.full(1000, 4096), vth=np.full(1000, 64))
    network = QuantizedNetwork(
        populations=(
            Population(name="in", size=1, kind=Source()),
            Population(name="a", size=1000, kind=lif, offset=1),
            Population(name="b", size=1000, kind=lif, offset=2),
        ),
        synapses=(
            Synapse(name="x", pre="in", post="a", weight=np.ones((1000, 1), np.int16)),
            Synapse(name="y", pre="a", post="b", weight=rng.integers(-256, 255, (1000, 1000))),
        ),
        schedule=Schedule(ticks=1, total=3, state="reset"),
        readout=ReadoutWindow(population="b", kind="count", start=2, stop=3, unit=1.0),
        error={},
    )
    placed = place(network, spec)
    for use in usage(network, placed).values():
        assert all(amount <= spec.limit(name) for name, amount in use.amounts().items())
    senders = {p.core for p in placed if p.population == "a"}
    listeners = {p.core for p in placed if p.population == "b"}
    assert len(senders) == 3
    assert len(listeners) == 9


def test_a_delay_the_chip_has_not() -> None:
    network = compile_network(pole_network(), pole_semantics(), chip("loihi1")).quantized
    late = tuple(replace(s, delay=3) if s.name == "fc2" else s for s in network.synapses)
    place(replace(network, synapses=late), parse(with_limit("delay_max", limit("3")), "mine"))
    with pytest.raises(ChipError, match="fc2: delay = 3 ticks, loihi1 has 2"):
        place(replace(network, synapses=late), parse(with_limit("delay_max", limit("2")), "mine"))
