"""snnTorch modules → Networks, proven equal by running both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporters.snntorch import chip, logic, maps, neurons, recurrent  # each enters its handlers
from exporters.snntorch.compose import to_module
from exporters.snntorch.proof import prove
from exporters.snntorch.translate import structure, to_network
from strl.ir.network import Network
from strl.policies.policy import SpikingPolicy
from strl.policies.threads import one_thread

__all__ = ["chip", "logic", "maps", "neurons", "prove", "recurrent", "to_module", "to_network", "translate"]


def translate(policy: SpikingPolicy) -> tuple[Network, Mapping[str, Any]]:
    """The policy's network and the record of its proof; answers ``strl.chip.exporter.Frontend``.

    Raises:
        ModelError: as ``to_network`` and ``prove``.
    """
    with one_thread():
        found = structure(policy)
        return found.network, prove(policy, found.network, found=found)
