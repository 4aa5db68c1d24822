"""Scale and orientation of many embeddings: before and after, over the steps, through the encoder's blocks.

Symbols as in the paper: v is a learned embedding, v_init its initial value, E(v) the encoder's output at its position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossinit_batch.analysis.learned import Learned
from crossinit_batch.analysis.measured import Axes, Measured
from crossinit_batch.methods.embedding.scale_orientation import TRAJECTORY, orientation, scale
from crossinit_batch.model.base_model import BaseModel

Numbers = NDArray[np.float64]

_AT_ONCE = 64
"""Embeddings that pass through the text encoder together."""
_MOST_STEPS = 400
"""Steps of a run that are kept: more than a figure has pixels for."""


def before_and_after(model: BaseModel, learned: Sequence[Learned]) -> Measured:
    """Norms of v_init, v, E(v_init), E(v) and cosines between them, by identity and token (Figs. 2, 6 and 8).

    Not a number where v does not pass through E.
    """
    v, v_init = [one.v for one in learned], _starts(learned)
    after, before = _encoded(model, learned, v), _encoded(model, learned, v_init)
    columns = {
        "norm_v_init": [scale(one) for one in v_init],
        "norm_v": [scale(one) for one in v],
        "norm_E_v_init": [scale(one) for one in before],
        "norm_E_v": [scale(one) for one in after],
        "cosine_v_init_v": _orientations(v_init, v),
        "cosine_E_v_init_E_v": _orientations(before, after),
        "cosine_v_init_E_v_init": _orientations(v_init, before),
        "cosine_v_E_v": _orientations(v, after),
    }
    arrays = {name: _padded(rows) for name, rows in columns.items()}
    tokens = arrays["norm_v"].shape[1]
    axes: Axes = {"identity": _identities(learned), "token": tuple(range(tokens))}
    return Measured(learned[0].method, axes, arrays)


def over_steps(learned: Sequence[Learned], ends: Measured) -> Measured | None:
    """v over training, by identity and steps done (Figs. 2, 6 and 8); None where no losses.csv has it.

    Each step's line describes v before the step, so the last point comes from `ends`, which is
    `before_and_after` of the same embeddings. Long runs are thinned out.
    """
    logged = [number for number, one in enumerate(learned) if one.trajectory is not None]
    if not logged:
        return None
    went = np.stack([one.trajectory for one in learned if one.trajectory is not None])
    last = [
        ends.columns[name][logged].mean(axis=1) for name in ("norm_v", "cosine_v_init_v", "norm_E_v", "cosine_v_E_v")
    ]
    values = np.concatenate([went, np.stack(last, axis=1)[:, None]], axis=1)
    kept = _kept_steps(went[0])
    axes: Axes = {"identity": tuple(learned[number].identity for number in logged), "steps_done": tuple(kept)}
    columns = {name: values[:, kept, index] for index, name in enumerate(TRAJECTORY)}
    return Measured(learned[0].method, axes, columns)


def through_blocks(model: BaseModel, learned: Sequence[Learned]) -> Measured:
    """v and v_init through the text encoder, by block, identity and token (Fig. 7).

    Norms of both, the cosine between them, and the cosine of v's state with the final E(v). All of `learned` belong in
    the encoder's input.
    """
    v, v_init = [one.v for one in learned], _starts(learned)
    after, before = _through(model, model.block_states, v, axis=1), _through(model, model.block_states, v_init, axis=1)
    columns = {
        "norm_v_init": [scale(states) for states in before],
        "norm_v": [scale(states) for states in after],
        "cosine_v_init_v": _orientations(before, after),
        "cosine_v_E_v": [orientation(states, states[-1:].expand_as(states)) for states in after],
    }
    arrays = {name: np.moveaxis(_padded(rows), 1, 0) for name, rows in columns.items()}
    blocks, _, tokens = arrays["norm_v"].shape
    stages = ("input", *(f"block {number}" for number in range(1, blocks - 1)), "final norm")
    axes: Axes = {
        "after": stages,
        "identity": _identities(learned),
        "token": tuple(range(tokens)),
    }
    return Measured(learned[0].method, axes, arrays)


def _identities(learned: Sequence[Learned]) -> tuple[str, ...]:
    return tuple(one.identity for one in learned)


def _starts(learned: Sequence[Learned]) -> list[Tensor]:
    """v_init of each; NaN where v was imported."""
    return [one.start.v_init if one.start else torch.full_like(one.v, torch.nan) for one in learned]


def _encoded(model: BaseModel, learned: Sequence[Learned], vectors: Sequence[Tensor]) -> list[Tensor]:
    """E of each vector (tokens, width); NaN for what belongs in the encoder's output."""
    passing = [vector for one, vector in zip(learned, vectors, strict=True) if not one.in_output]
    encoded = iter(_through(model, model.encode_alone, passing))
    return [
        torch.full_like(vector, torch.nan) if one.in_output else next(encoded)
        for one, vector in zip(learned, vectors, strict=True)
    ]


def _through(
    model: BaseModel, encode: Callable[[Tensor], Tensor], vectors: Sequence[Tensor], axis: int = 0
) -> list[Tensor]:
    """`encode` of each vector (tokens, width), in batches, equal ones once; `axis` is the batch axis of its result."""
    distinct = {id(one): one for one in vectors}
    results: dict[int, Tensor] = {}
    for shape in {one.shape for one in distinct.values()}:
        group = [(key, one) for key, one in distinct.items() if one.shape == shape]
        for start in range(0, len(group), _AT_ONCE):
            chunk = group[start : start + _AT_ONCE]
            with torch.no_grad():
                encoded = encode(torch.stack([one for _, one in chunk]).to(model.device))
            results |= {key: one.cpu() for (key, _), one in zip(chunk, encoded.unbind(axis), strict=True)}
    return [results[id(one)] for one in vectors]


def _orientations(one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    return [orientation(first, second) for first, second in zip(one, other, strict=True)]


def _padded(rows: Sequence[Tensor]) -> Numbers:
    """Rows (..., tokens) as one array, first axis the rows; NaN where one has fewer tokens than another."""
    tokens = max(row.shape[-1] for row in rows)
    array = np.full((len(rows), *rows[0].shape[:-1], tokens), np.nan)
    for number, row in enumerate(rows):
        array[number, ..., : row.shape[-1]] = row.numpy()
    return array


def _kept_steps(went: Numbers) -> list[int]:
    """Every step of a short run; of a long one some, all at which E(v) was computed, and the end."""
    stride = -(-len(went) // _MOST_STEPS)
    return [step for step, row in enumerate(went) if step % stride == 0 or not np.isnan(row[-1])] + [len(went)]
