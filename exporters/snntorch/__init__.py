"""snnTorch modules → Networks, proven equal by running both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporters.snntorch.proof import prove
from exporters.snntorch.translate import to_network
from strl.ir.network import Network
from strl.policies.policy import SpikingPolicy

__all__ = ["prove", "to_network", "translate"]


def translate(policy: SpikingPolicy) -> tuple[Network, Mapping[str, Any]]:
    """The policy's network and the record of its proof; answers ``strl.chip.exporter.Frontend``.

    Raises:
        ModelError: as ``to_network`` and ``prove``.
    """
    network = to_network(policy)
    return network, prove(policy, network)
