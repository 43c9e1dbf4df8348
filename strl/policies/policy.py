"""SpikingPolicy: a snnTorch module together with what decides its behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from strl.errors import ModelError
from strl.ir.semantics import Semantics

if TYPE_CHECKING:
    import torch

Call = Literal["tick", "decision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikingPolicy:
    """What ``file.py:factory`` returns, and what a checkpoint loads as.

    Args:
        module: made of snnTorch neurons and torch layers. It keeps its own state
            (``init_hidden=True``) and starts from zero after its neurons' ``reset_mem``.
        semantics: ticks, state, read-out, codec, environment.
        call: what one ``module(x)`` computes. ``tick``: x [batch, in] → spikes [batch, out], called T times
            a decision. ``decision``: x [T, batch, in], the loop over ticks being inside.
        weight_bits: of a weight on the chip that it was tuned for, and is exported with unless told
            otherwise; ``None`` for the chip's own.
        head: of a module that returns a tuple or dict of heads, the index or key of the one that actions are
            read of; what only the others need is left out, and the proof says so.

    Raises:
        ModelError: a field of another type, a call that is neither, ``weight_bits`` that no chip has.
    """

    module: torch.nn.Module
    semantics: Semantics
    call: Call = "tick"
    weight_bits: int | None = None
    head: int | str | None = None

    def __post_init__(self) -> None:
        import torch

        if not isinstance(self.module, torch.nn.Module):
            raise ModelError(
                f"policy: module = {self.module!r:.60}, must be a torch.nn.Module",
                hint="an instance, as SpikingPolicy(module=MyNetwork(), …)",
            )
        if not isinstance(self.semantics, Semantics):
            raise ModelError(f"policy: semantics = {self.semantics!r:.60}, must be a Semantics")
        if self.call not in get_args(Call):
            raise ModelError(f"policy: call = {self.call!r:.60}, must be one of {', '.join(get_args(Call))}")
        if self.head is not None and (isinstance(self.head, bool) or not isinstance(self.head, int | str)):
            raise ModelError(
                f"policy: head = {self.head!r:.60}, must be an index or key of what the module returns"
            )
        bits = self.weight_bits
        if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8):
            raise ModelError(f"policy: weight_bits = {bits!r}, must be an integer of 2..8 or None")
