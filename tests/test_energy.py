"""Energy: the published check case to the picojoule, bands, what is missing, and adding up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from strl.chip import Part, Program, chip
from strl.chip.spec import parse
from strl.energy import ActivityCounts, Interval, Wiring, estimate, profiles
from strl.errors import ChipError, UsageError
from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.quantize import Lif, Population, ReadoutWindow, Schedule, Synapse

TICKS = 10


def lif(name: str, size: int) -> Population:
    ones = np.ones(size, np.int32)
    return Population(name=name, size=size, kind=Lif(du=4095 * ones, dv=0 * ones, vth=100 * ones))


def fan_out_program(cores: tuple[int, int, int]) -> Program:
    """A (4 neurons) → B (8) and → C (2), dense, one population a core."""

    def synapse(name: str, post: str, size: int) -> Synapse:
        return Synapse(name=name, pre="A", post=post, weight=np.full((size, 4), 2, np.int16))

    sizes = {"A": 4, "B": 8, "C": 2}
    return Program(
        chip=chip("loihi1"),
        arithmetic="lava",
        populations=tuple(lif(n, s) for n, s in sizes.items()),
        synapses=(synapse("ab", "B", 8), synapse("ac", "C", 2)),
        placement=tuple(
            Part(population=n, start=0, stop=s, core=c)
            for (n, s), c in zip(sizes.items(), cores, strict=True)
        ),
        schedule=Schedule(ticks=TICKS, total=TICKS, state="carry"),
        readout=ReadoutWindow(population="C", kind="count", start=0, stop=TICKS, unit=1.0),
        semantics=Semantics(
            ticks=TICKS,
            state="carry",
            readout=Readout(kind="count"),
            encoder={},
            decoder={},
            environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
        ),
    )


def all_of_a_fire(program: Program, active: int | None = 130) -> ActivityCounts:
    spikes = np.zeros(program.neurons, np.int64)
    spikes[program.slices["A"]] = TICKS
    populations = None if active is None else np.array([40, 0, active - 40])
    return Wiring(program).activity(spikes, ticks=TICKS, decisions=1, active=populations)


@pytest.mark.parametrize(
    ("cores", "packets", "picojoules"),
    [
        ((0, 0, 0), 40, 31_388),
        ((0, 1, 2), 80, 35_828),
        ((0, 4, 4), 40, 31_556),
        ((0, 16, 16), 40, 31_508),
        ((0, 20, 20), 40, 31_676),
        ((0, 127, 1), 80, 37_172),
    ],
)
def test_check_case_of_sana_fe(cores: tuple[int, int, int], packets: int, picojoules: int) -> None:
    """Figures of the facts, section 3 case 1, which the package sanafe 2.2.9 gives as well."""
    program = fan_out_program(cores)
    activity = all_of_a_fire(program)
    report = estimate(program, activity, "loihi1-silicon")
    assert activity.synaptic_ops == 400
    assert int(activity.spikes.sum()) == 40
    assert activity.packets == packets
    assert report.parts["synapses"].value == pytest.approx(14_200e-12)
    assert (report.parts["neurons"] + report.parts["spikes"]).value == pytest.approx(12_748e-12)
    assert report.totals["noc"].value == pytest.approx(picojoules * 1e-12)
    assert report.missing == ()


def test_unknown_activity_widens_the_band_and_is_not_zero() -> None:
    program = fan_out_program((0, 1, 2))
    known = estimate(program, all_of_a_fire(program), "loihi1-silicon")
    unknown = estimate(program, all_of_a_fire(program, active=None), "loihi1-silicon")
    assert known.parts["neurons"].low == known.parts["neurons"].high
    assert unknown.parts["neurons"].low < known.parts["neurons"].value < unknown.parts["neurons"].high


def test_a_profile_without_a_figure_says_so() -> None:
    program = fan_out_program((0, 1, 2))
    report = estimate(program, all_of_a_fire(program), "loihi1-davies")
    assert {"spike", "message"} <= set(report.missing)
    held = report.to_dict()
    assert held["lower_bound"] is True
    parts = held["parts_j"]
    assert isinstance(parts, dict)
    assert parts["spikes"] is None
    assert parts["messages"] is None
    assert parts["synapses"] is not None
    # 400 synops · 23.6 + 140 updates · 52 + 130 active · 29 pJ
    assert report.totals["core"].value == pytest.approx((400 * 23.6 + 140 * 52 + 130 * 29) * 1e-12)


def test_totals_run_and_static_follows_the_control_period() -> None:
    program = fan_out_program((0, 1, 2))
    free = estimate(program, all_of_a_fire(program), "loihi1-silicon")
    paced = estimate(program, all_of_a_fire(program), "loihi1-silicon", control_period=0.02)
    values = [free.totals[n].value for n in ("core", "noc", "static", "host")]
    assert values == sorted(values)
    assert paced.parts["static"].value == pytest.approx(0.02 * 0.105)
    assert paced.parts["static"].low == pytest.approx(0.02 * 0.030)
    assert paced.totals["noc"] == free.totals["noc"]


def test_tick_time_is_the_slowest_core_and_the_barrier() -> None:
    program = fan_out_program((0, 0, 0))
    report = estimate(program, all_of_a_fire(program), "loihi1-silicon")
    # Per tick on the one core: 14 updates, 40 synops, 4 spikes, 4 messages out and in; barrier of 1 tile.
    busy = 14 * 9.7e-9 + 40 * 3.8e-9 + 4 * 30e-9 + 4 * (5.1e-9 + 16e-9)
    assert report.tick.value == pytest.approx(busy + 0.6e-6)


def test_sparse_synapses_count_what_is_stored() -> None:
    program = fan_out_program((0, 1, 2))
    weight = np.zeros((8, 4), np.int16)
    weight[0, :2] = 2
    sparse = Synapse(name="ab", pre="A", post="B", weight=weight, format="sparse")
    program = Program(
        chip=program.chip,
        arithmetic=program.arithmetic,
        populations=program.populations,
        synapses=(sparse, program.synapses[1]),
        placement=program.placement,
        schedule=program.schedule,
        readout=program.readout,
        semantics=program.semantics,
    )
    activity = all_of_a_fire(program)
    assert int(activity.synops_sparse.sum()) == 2 * TICKS
    assert int(activity.synops_dense.sum()) == 4 * 2 * TICKS
    assert activity.packets == 2 * TICKS + 4 * TICKS  # two neurons of A reach nothing in B


def test_activity_adds_up() -> None:
    program = fan_out_program((0, 4, 4))
    one = all_of_a_fire(program)
    two = one + one
    assert two.decisions == 2
    assert two.synaptic_ops == 800
    assert two.active == 260
    assert (one + all_of_a_fire(program, active=None)).active is None
    once, twice = (estimate(program, a, "loihi1-silicon") for a in (one, two))
    assert once.totals["host"].value == pytest.approx(twice.totals["host"].value)


def test_wrong_profile_is_named() -> None:
    program = fan_out_program((0, 1, 2))
    with pytest.raises(UsageError, match="no energy profile 'loihi1-silicone'") as error:
        estimate(program, all_of_a_fire(program), "loihi1-silicone")
    assert "loihi1-silicon" in error.value.hint


def test_interval_arithmetic() -> None:
    band = Interval(value=2.0, low=1.0, high=4.0)
    assert band + band == Interval(value=4.0, low=2.0, high=8.0)
    assert band * 3 == Interval(value=6.0, low=3.0, high=12.0)


@pytest.mark.parametrize(
    ("profile", "low", "high"), [("loihi1-silicon", 0.7, 1.5), ("loihi1-davies", 0.45, 1.0)]
)
def test_sddpg_lands_near_its_published_energy(profile: str, low: float, high: float) -> None:
    """SDDPG on Loihi 1: 15.53 µJ an inference (secondary source). A check, never a fit."""
    program = fan_out_program((0, 1, 2))
    neurons = (256 * 3 + 2) * 10
    zero = np.zeros(3, np.int64)
    activity = ActivityCounts(
        decisions=1,
        ticks=10,
        synops_dense=np.array([406_685, 0, 0]),
        synops_sparse=zero,
        updates=np.array([neurons, 0, 0]),
        spikes=np.array([3_264, 0, 0]),
        messages_out=np.array([4_865, 0, 0]),
        messages_in=np.array([4_865, 0, 0]),
        host_spikes=0,
        hops_ew=0,
        hops_ns=0,
        active=neurons,
        resets=0,
    )
    ratio = estimate(program, activity, profile).totals["noc"].value / 15.53e-6
    assert low < ratio < high


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('value = 69.3, unit = "pJ"', "unit = 'pJ'"),
        ('value = -1.0, unit = "J"', "below 0"),
        ('value = 1.0, unit = "s"', r"energy\.mine\.spike: unit = 's', must be 'J'"),
        ("value = 1.0", "unit = '1', must be 'J'"),
        ('value = nan, unit = "J"', "must be a finite number"),
        ('value = 1.0, low = 2.0, unit = "J"', "2 ≤ 1 ≤ 1 does not hold"),
        ('value = "x", unit = "J"', "value = 'x', must be a finite number"),
    ],
)
def test_a_chip_file_with_a_wrong_figure_is_refused(entry: str, message: str) -> None:
    figure = f'spike = {{ {entry}, status = "primary", source = "made up" }}'
    with pytest.raises(ChipError, match=message):
        parse(chip("loihi1").toml + f"\n[energy.mine]\n{figure}\n", "mine.toml")


def test_times_of_a_barrier_are_for_a_number_of_tiles() -> None:
    figure = 'sync_time_many = { value = 1e-6, unit = "s", status = "primary", source = "made up" }'
    with pytest.raises(ChipError, match="must end in a number of tiles"):
        parse(chip("loihi1").toml + f"\n[energy.mine]\n{figure}\n", "mine.toml")


def test_the_order_of_profiles_is_the_chips_whatever_happened() -> None:
    """Silicon has figures for more events than Davies, also for a program that never spiked."""
    program = fan_out_program((0, 1, 2))
    assert profiles(program) == ("loihi1-silicon", "loihi1-davies")
    mine = parse(chip("loihi1").toml + "\n[energy.aaa]\n", "mine.toml")
    assert profiles(replace(program, chip=mine))[-1] == "aaa"


def with_figures(*names: str) -> Program:
    figures = "".join(
        f'{name} = {{ value = 1.0, unit = "{unit}", status = "derived", source = "made up" }}\n'
        for name, unit in ((n, {"time": "s", "power": "W"}.get(n.split("_")[-1], "J")) for n in names)
    )
    spec = parse(chip("loihi1").toml + f"\n[energy.mine]\n{figures}", "mine.toml")
    return replace(fan_out_program((0, 1, 2)), chip=spec)


TIMES = ("neuron_time", "synop_time", "spike_time", "message_out_time", "message_in_time")
CORE = ("synop_dense", "neuron_access", "spike")
NOC = ("message", "hop_ew", "hop_ns")
REST = ("static_power", "host_power", "reset")


@pytest.mark.parametrize(
    ("figures", "at_least"),
    [
        ((*TIMES, *CORE, *NOC, *REST), ()),
        ((*TIMES, *CORE[1:], *NOC, *REST), ("core", "noc", "static", "host")),
        ((*TIMES, *CORE, *NOC[1:], *REST), ("noc", "static", "host")),
        ((*TIMES[1:], *CORE, *NOC, *REST), ("static", "host", "time")),
        ((*TIMES, *CORE, *NOC, "static_power"), ("host",)),
    ],
)
def test_every_total_says_whether_it_is_a_lower_bound(
    figures: tuple[str, ...], at_least: tuple[str, ...]
) -> None:
    program = with_figures(*figures)
    report = estimate(program, all_of_a_fire(program), "mine")
    assert report.at_least == at_least
    assert report.to_dict()["at_least"] == list(at_least)
