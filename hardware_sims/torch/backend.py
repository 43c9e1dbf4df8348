"""Torch as a backend, and the choice of its device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from strl.chip.program import Program
from strl.errors import BackendError

if TYPE_CHECKING:
    import torch

    from hardware_sims.torch.session import TorchSession

DEVICE = "STRL_DEVICE"
"""Environment variable: the device of a session, where ``TorchBackend`` is not told."""

_HINT = "choose cpu, cuda or cuda:N"


class TorchBackend:
    """Runs programs by torch's plain operators, exactly; pays off on a GPU with many slots.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``. Default: the environment variable ``STRL_DEVICE``, else
            ``cuda`` where torch finds one, else ``cpu``.
    """

    name = "torch"

    def __init__(self, device: str | None = None) -> None:
        self.device = device

    def load(self, program: Program, *, batch: int = 1) -> TorchSession:
        from hardware_sims.torch.session import TorchSession, within_memory

        where = _device(self.device)
        with within_memory(batch, where):
            return TorchSession(program, batch, where)


def _device(asked: str | None) -> torch.device:
    """The device asked for, by argument or environment.

    Raises:
        BackendError: there is no such device, or it is of a kind without float64 (mps, say).
    """
    import torch

    what = "device" if asked else DEVICE
    name = asked or os.environ.get(DEVICE) or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise BackendError(f"{what} = {name!r}: there is no such device", hint=_HINT) from error
    if found.type == "cpu":
        return torch.device("cpu")
    if found.type != "cuda":
        raise BackendError(f"{what} = {name!r}: backend 'torch' runs on no such device", hint=_HINT)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (found.index or 0) >= count:
        raise BackendError(f"{what} = {name!r}: torch finds {count} CUDA devices", hint=_HINT)
    return found
