"""What a producer means by its files: one TOML file a producer in ``producers/``, read into a ``Reading``.

A ``.nir`` file carries no dt, reset, comparison, spike count or initial state. A ``Reading`` is all of that,
as plain data; its defaults are NIR's own equations in forward Euler steps. A producer's TOML says where it
differs, what its exporter always writes (``expects``: a file that has something else is not its), what its
files do not tell (``unsaid``), and its own words for options.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from strl.errors import ModelError, UsageError
from strl.files import read_bytes
from strl.registry import suggest

FOLDER = Path(__file__).parent / "producers"

Gain = Literal["file", "one", "lost", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the fields of a file become the Network's discrete dynamics.

    β is what a potential keeps in a tick, α what a current keeps. Gains are what one unit of input adds:
    ``file`` is NIR's (r·(1 − β), or w_in·(1 − α)), ``one`` is 1, ``lost`` is 1 − β, ``kept`` is β (or α).

    Args:
        dt: seconds of a tick.
        dt_if: what an IF or I multiplies r by; 0 for dt.
        tau_scale: what times a time constant in the file is that time constant in seconds.
        decay: ``euler``: β = 1 − dt/tau. ``exponential``: β = e^(−dt/tau).
        retention: ``double``, or ``float32`` where the producer holds β and α as such, so that a tau of
            rounded β gives back that β.
        gain: of LIF, CubaLIF and CubaLI. ``leak_gain``: of LI. ``current_gain``: of the current of Cuba.
        spike: ``above`` v > threshold, ``at`` v ≥ threshold, ``multiple`` as many as fit.
        reset: as of ``strl.ir.LIF``: ``zero`` (to v_reset), ``subtract``, ``once``, ``none``.
        reset_delay: the reset waits for the next tick.
        leaky_blind: with ``zero`` and ``reset_delay``, also a LIF without recurrence is cleared whole in
            the tick after a spike; False is snnTorch's Leaky, which clears only the old potential.
        current_reset: how CubaLIF resets if otherwise; empty for the same.
        start: v before the first tick: ``zero``, ``leak`` (v_leak), ``reset`` (v_reset).
        v_reset: what v is reset to; NaN for what the file says.
        floor: least potential.
        old_spikes: the spike is of the potential that the tick began with.
        flatten: ``first`` for channels first (C order), ``last`` for channels last.
        recurrent_input: ``file``, or ``neuron`` where the Input of a recurrent sub-graph is wired to its
            weights by mistake.
        neuron: ``step``, or ``substep`` for Nengo's LIF, which spikes inside a step.
        tau_ref: seconds that a ``substep`` neuron is silent after a spike.
    """

    dt: float = 1e-4
    dt_if: float = 0.0
    tau_scale: float = 1.0
    decay: Literal["euler", "exponential"] = "euler"
    retention: Literal["double", "float32"] = "double"
    gain: Gain = "file"
    leak_gain: Gain = "file"
    current_gain: Gain = "file"
    spike: Literal["above", "at", "multiple"] = "above"
    reset: Literal["zero", "subtract", "once", "none"] = "zero"
    reset_delay: bool = False
    leaky_blind: bool = True
    current_reset: Literal["", "zero", "subtract", "once", "none"] = ""
    start: Literal["zero", "leak", "reset"] = "zero"
    v_reset: float = math.nan
    floor: float = -math.inf
    old_spikes: bool = False
    flatten: Literal["first", "last"] = "first"
    recurrent_input: Literal["file", "neuron"] = "file"
    neuron: Literal["step", "substep"] = "step"
    tau_ref: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Reading).items():
            value, words = getattr(self, name), get_args(kind)
            fits = value in words if words else isinstance(value, (float, int) if kind is float else kind)
            if not fits or (kind is float and isinstance(value, bool)):
                expected = f"one of {', '.join(filter(None, words))}" if words else f"a {kind.__name__}"
                raise UsageError(f"{name} = {value!r:.60}, must be {expected}")
        for name in ("dt", "tau_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} = {getattr(self, name)!r}, must be a number above 0")
        for name in ("dt_if", "tau_ref"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} = {getattr(self, name)!r}, must be a number of at least 0")
        if math.isinf(self.v_reset):
            raise UsageError(f"v_reset = {self.v_reset!r}, must be a number")
        if math.isnan(self.floor) or self.floor == math.inf:
            raise UsageError(f"floor = {self.floor!r}, must be a number or -inf")
        if self.spike == "multiple" and (self.reset not in ("zero", "once") or self.reset_delay):
            raise UsageError(
                f"spike = multiple goes with reset = zero or once, without delay, not {self.reset}"
            )

    @property
    def step_if(self) -> float:
        """What an IF or I multiplies r by."""
        return self.dt_if or self.dt


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    """One TOML file.

    Args:
        name: as users write it.
        title: as people write it, with the version that was verified.
        source: where the reading is from.
        reading: its defaults.
        expects: field of a node, or ``TYPE.field``, → formula that its exporter writes there, or several
            with " or " between; see ``exporters.nir.cells.expect``.
        longest: time constant in seconds beyond which a file is taken for another's; 0 for none.
        unsaid: option → types of nodes whose meaning hangs on it, though no file says it.
        unread: option of ``unsaid`` → what else of it the producer has, that no file says and no Reading has.
        options: the producer's own word → its value as text → the fields of ``Reading`` it means; or
            one field's name, which it is another word for.
    """

    name: str
    title: str
    source: str
    reading: Reading
    expects: Mapping[str, str] = field(default_factory=dict)
    longest: float = 0.0
    unsaid: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A producer with the options that somebody gave.

    Args:
        producer: who wrote the file.
        given: options as text.
        assumed: nothing says that it is this producer's file; it is taken for one.
    """

    producer: Producer
    given: Mapping[str, str]
    assumed: bool = False

    @property
    def reading(self) -> Reading:
        """The defaults with the options in their place.

        Raises:
            UsageError: an option or value that there is not.
        """
        changes: dict[str, Any] = {}
        for name, text in self.given.items():
            changes |= _meaning(self.producer, name, text)
        try:
            return replace(self.producer.reading, **changes)
        except UsageError as error:
            raise UsageError(f"producer {self.producer.name}: {error.message}", hint=error.hint) from None

    def others(self, option: str) -> list[Reading]:
        """The readings under the other values of an option that has a few; none for a number."""
        meaning = self.producer.options.get(option, option)
        texts = list(meaning) if isinstance(meaning, Mapping) else _words(meaning)
        found = []
        for text in texts:
            with suppress(UsageError):  # a value that does not go with the rest
                found.append(replace(self, given={**self.given, option: text}).reading)
        return found

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        return self.producer.name + _listed(self.given)

    def unsaid(self, kinds: set[str]) -> dict[str, str]:
        """Options that nobody gave and no file with nodes of these types tells, with their defaults."""
        said = {key for name in self.given for key in _fields(self.producer, name)}
        found = {}
        for option, needed in self.producer.unsaid.items():
            if kinds & set(needed) and not said & set(_fields(self.producer, option)):
                found[option] = _default(self.producer, option)
        return found


def producers() -> dict[str, Producer]:
    """All that are here, by name."""
    return {path.stem: _load(path) for path in sorted(FOLDER.glob("*.toml"))}


def chosen(text: str, *, assumed: bool = False) -> Chosen:
    """What ``NAME`` or ``NAME:option=value,option=value`` stands for; NAME may be the path of a TOML file.

    Raises:
        UsageError: no such producer or option, or an option or TOML file written otherwise.
    """
    name, _, tail = text.partition(":")
    producer = _own(Path(name)) if name.endswith(".toml") else producers().get(name)
    if producer is None:
        raise UsageError(f"there is no producer {name!r}", hint=suggest(name, producers()))
    given: dict[str, str] = {}
    for part in filter(None, tail.split(",")):
        option, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not option or not value:
            raise UsageError(f"{part!r} is not an option", hint=f"write {name}:option=value,option=value")
        if option in given:
            raise UsageError(f"option {option!r} is given twice")
        given[option] = value
    made = Chosen(producer=producer, given=given, assumed=assumed)
    _ = made.reading  # refused now rather than later
    return made


def _listed(given: Mapping[str, str]) -> str:
    return ":" + ",".join(f"{k}={v}" for k, v in given.items()) if given else ""


def _fields(producer: Producer, option: str) -> tuple[str, ...]:
    """The fields of ``Reading`` that an option decides."""
    meaning = producer.options.get(option, option)
    if isinstance(meaning, str):
        return (meaning,)
    return tuple({key: None for values in meaning.values() for key in values})


def _default(producer: Producer, option: str) -> str:
    meaning = producer.options.get(option, option)
    if isinstance(meaning, str):
        return _text(getattr(producer.reading, meaning))
    for text, values in meaning.items():
        if all(getattr(producer.reading, key) == value for key, value in values.items()):
            return str(text)
    raise ModelError(f"producers/{producer.name}.toml: option {option!r} has no default")


def _text(value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "as written"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _meaning(producer: Producer, option: str, text: str) -> dict[str, Any]:
    known = {f.name: f for f in fields(Reading)}
    meaning = producer.options.get(option, option)
    where = f"producer {producer.name}: {option} = {text!r}"
    if isinstance(meaning, Mapping):
        if text not in meaning:
            raise UsageError(f"{where}, must be one of {', '.join(meaning)}")
        return dict(meaning[text])
    if meaning not in known:
        names = [*producer.options, *known]
        raise UsageError(f"producer {producer.name} has no option {option!r}", hint=suggest(option, names))
    return {meaning: _parsed(meaning, text, where)}


def _parsed(name: str, text: str, where: str) -> Any:
    value = getattr(Reading(), name)
    if isinstance(value, bool):
        if text not in ("true", "false"):
            raise UsageError(f"{where}, must be true or false")
        return text == "true"
    if isinstance(value, float):
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"{where}, must be a number") from None
    choices = _words(name)
    if text not in choices:
        raise UsageError(f"{where}, must be one of {', '.join(filter(None, choices))}")
    return text


@cache
def _words(name: str) -> tuple[str, ...]:
    """The values that a field of ``Reading`` can have, where they are words."""
    kind = get_type_hints(Reading)[name]
    return ("true", "false") if kind is bool else get_args(kind)


def _own(path: Path) -> Producer:
    """A producer of the user's."""
    try:
        return _load(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}: is not a producer: {error}", hint="exporters/nir/producers has some to go by"
        ) from error


@cache
def _load(path: Path) -> Producer:
    data = tomllib.loads(read_bytes(path).decode())
    reading: dict[str, Any] = data.pop("reading", {})
    unsaid = {option: tuple(kinds) for option, kinds in data.pop("unsaid", {}).items()}
    unread = {option: str(what) for option, what in data.pop("unread", {}).items()}
    return Producer(name=path.stem, reading=Reading(**reading), unsaid=unsaid, unread=unread, **data)
