"""One head of a Network: what leads to one of its outputs, and nothing else."""

from __future__ import annotations

from strl.errors import ModelError
from strl.ir.network import Network
from strl.ir.nodes import Input, Output
from strl.registry import suggest


def head(network: Network, output: str | None = None) -> Network:
    """Requires nothing; ensures a single Output, without the nodes that only lead to others.

    Args:
        network: any.
        output: name of the Output that is kept; ``None`` where there is but one.

    Raises:
        ModelError: there are several and none is named, or none has that name, or the input does not lead
            to it.
    """
    names = network.of(Output)
    if output is None and len(names) > 1:
        raise ModelError(
            f"network: has {len(names)} outputs ({', '.join(names)}), and one is asked for",
            hint="choose one with --node NAME",
        )
    name = names[0] if output is None else output
    if name not in names:
        raise ModelError(f"network: no output {name!r}", hint=suggest(name, names))
    if len(names) == 1:
        return network
    kept, waiting = {name}, [name]
    while waiting:
        found = set(network.sources(waiting.pop())) - kept
        kept |= found
        waiting += found
    if not kept & set(network.of(Input)):
        raise ModelError(f"{name}: does not depend on the input")
    nodes = {n: node for n, node in network.nodes.items() if n in kept}
    edges = tuple((a, b) for a, b in network.edges if a in kept and b in kept)
    return Network(nodes=nodes, edges=edges, dt=network.dt)
