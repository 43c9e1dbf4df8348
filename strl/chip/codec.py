"""Whether a policy's codec fits its network and its environment; asked before anything is compiled or run."""

from __future__ import annotations

import numpy as np

from strl.codecs import decoder, encoder
from strl.codecs.base import Decoder
from strl.errors import EnvironmentFault, ModelError
from strl.ir.network import size
from strl.ir.semantics import Semantics


def check_codec(semantics: Semantics, inputs: int, outputs: int) -> None:
    """The codec takes the environment's observations, fits the network and gives the environment's actions.

    Tried on one observation of zeros, so that it holds for any codec.

    Raises:
        ModelError: it does not; says where.
    """
    spec, ticks = semantics.environment, semantics.ticks
    if semantics.open_loop:
        if (width := encoder(semantics.encoder).size) != inputs:
            raise ModelError(f"codec: {width} channels in, the network has {inputs}")
        return
    code, decode = encoder(semantics.encoder), decoder(semantics.decoder)
    if (code.size, decode.size) != (inputs, outputs):
        raise ModelError(
            f"codec: {code.size} channels in and {decode.size} out, the network has {inputs} and {outputs}",
            hint="make the first layer as wide as the encoder and the last as wide as the decoder",
        )
    try:
        code.encode(np.zeros((1, size(spec.observation_shape))), ticks, [np.random.default_rng(0)])
        action = decode.decode(np.zeros((1, outputs)), ticks)
    except (ValueError, IndexError, EnvironmentFault) as error:
        raise ModelError(
            f"codec: {semantics.encoder.get('kind')} does not take observations of shape "
            f"{spec.observation_shape}: {error}"
        ) from error
    discrete = spec.actions is not None
    wanted = 1 if discrete else len(spec.action_low)
    if action.size != wanted or (action.dtype.kind == "i") != discrete:
        raise ModelError(
            f"codec: {semantics.decoder.get('kind')} gives actions of {action.size} {action.dtype} values, "
            f"the environment takes {'an integer' if discrete else f'{wanted} floats'}"
        )
    _check_actions(semantics, decode)


def check_first(semantics: Semantics, start: int) -> None:
    """The decoder's first action is that of the environment (Gymnasium's ``Discrete.start``).

    Raises:
        ModelError: it is not; says both.
    """
    choices = decoder(semantics.decoder).choices
    if choices is not None and choices.start != start:
        raise ModelError(
            f"codec: {semantics.decoder.get('kind')} counts actions from {choices.start}, "
            f"the environment from {start}",
            hint=f"give the decoder first = {start}",
        )


def _check_actions(semantics: Semantics, decode: Decoder) -> None:
    spec, kind = semantics.environment, semantics.decoder.get("kind")
    if spec.actions is not None and decode.choices is not None and len(decode.choices) != spec.actions:
        raise ModelError(
            f"codec: {kind} gives {len(decode.choices)} actions, the environment has {spec.actions}",
            hint="give the decoder as many actions as the environment has",
        )
    if spec.actions is None and decode.bounds is not None:
        own = (spec.action_low, spec.action_high)
        for which, mine, theirs in zip(("low", "high"), decode.bounds, own, strict=True):
            if not np.allclose(mine, theirs, rtol=1e-6):
                raise ModelError(
                    f"codec: {kind} has {which} = {list(mine)}, the environment's is {list(theirs)}",
                    hint="give the decoder the environment's own bounds",
                )
