"""Occlusion faithfulness: whether hiding what a base point attends to changes it more than hiding anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.probe import Probe, Window
from xfaconv.analysis.tiles import Tiles, cut_tiles, partial_rank_correlation, trivial_maps
from xfaconv.analysis.windows import Windows
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from xfaconv.models import Model

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7)
ORDERS = ("attention", "least", "random", "distance", "latitude", "variance")
CONTROLS = ("distance", "latitude", "variance")
_LONG_NAMES = {
    "deletion": "change of the base point when the first boxes of an order are hidden, 1 when all are",
    "insertion": "change of the base point when only the first boxes of an order are shown, 1 when none are",
    "effect": "relative change of the base point's state when a box is hidden alone",
    "skill": "rank correlation of a map with the effect of hiding a box",
    "attention": "share of attention",
}
_RANDOM_DRAWS = 3
_PREFERENCE_DIGITS = 4


def box_size(grid: Grid) -> tuple[float, float]:
    """Side of a box and radius of the base point's surroundings [degrees]: 22.5 and 15, less on a small region.

    Examples
    --------
    >>> box_size(Grid.regular(5.0))
    (22.5, 15.0)
    """
    height = float(grid.latitude_edges[-1] - grid.latitude_edges[0])
    width = float(grid.longitude_edges[-1] - grid.longitude_edges[0])
    extent = min(height, width)
    return min(22.5, extent / 5), min(15.0, extent / 8)


def _effects(probe: Probe, window: Window, masks: list[NDArray[np.bool_]], plain: NDArray[np.float32]) -> Any:
    """Change of the base point's state, relative to its length, for each mask."""
    states = probe.states(window, np.stack(masks)).astype(np.float64)
    length = max(float(np.linalg.norm(plain)), 1e-12)
    return np.linalg.norm(states - plain, axis=1) / length


def _orders(
    tiles: Tiles, attention: NDArray[np.floating], trivial: dict[str, NDArray[np.float64]], seed: int
) -> dict[str, list[NDArray[np.int64]]]:
    generator = np.random.default_rng(seed)
    by_attention = np.lexsort((generator.random(tiles.count), -attention))
    orders = {
        "attention": [by_attention],
        "least": [by_attention[::-1]],
        "random": [generator.permutation(tiles.count) for _ in range(_RANDOM_DRAWS)],
    }
    for name, field in trivial.items():
        orders[name] = [np.argsort(-tiles.mean(field), kind="stable")]
    return orders


def _one_window(
    raw: NDArray[np.float32], clock: NDArray[np.float64], *, probe: Probe, grid: Grid, seed: int
) -> tuple[NDArray[np.float64], ...]:
    """Give deletion (order, share), insertion (order, share), tile effects as a map, skill, and the attention map."""
    window = Window.of(raw, clock)
    box, near = box_size(grid)
    tiles = cut_tiles(grid, probe.cell, box=box, near=near)
    shares_of_attention = probe.attention(window).astype(np.float64)
    density = tiles.mean(shares_of_attention / tiles.area)
    # What differs by rounding alone is no preference: such boxes tie.
    density = np.round(density / density.mean(), _PREFERENCE_DIGITS)
    trivial = trivial_maps(tiles, grid, window.fields)
    plain = probe.states(window, np.zeros((1, *grid.shape), dtype=bool))[0].astype(np.float64)
    everything = tiles.number >= 0
    single = [tiles.number == number for number in range(tiles.count)]
    effect = _effects(probe, window, [*single, everything], plain)
    whole = max(effect[-1], 1e-12)
    orders = _orders(tiles, density, trivial, seed)
    deletion = np.full((len(ORDERS), len(SHARES)), np.nan)
    insertion = np.full((len(ORDERS), len(SHARES)), np.nan)
    for position, name in enumerate(ORDERS):
        hidden = [[tiles.mask(tiles.first(order, share)) for share in SHARES] for order in orders[name]]
        changes = _effects(probe, window, [mask for draw in hidden for mask in draw], plain)
        deletion[position] = changes.reshape(len(hidden), -1).mean(axis=0) / whole
        if name in ("attention", "least", "random"):
            shown = [everything & ~mask for draw in hidden for mask in draw]
            insertion[position] = _effects(probe, window, shown, plain).reshape(len(hidden), -1).mean(axis=0) / whole
    controls = [tiles.mean(trivial[name]) for name in CONTROLS]
    skill = np.array(
        [
            partial_rank_correlation(density, effect[:-1], []),
            *(partial_rank_correlation(control, effect[:-1], []) for control in controls),
            partial_rank_correlation(density, effect[:-1], controls),
        ]
    )
    painted = np.where(everything, np.append(effect[:-1], np.nan)[tiles.number], np.nan)
    return deletion, insertion, painted, skill, shares_of_attention


def _kernel(
    fields: NDArray[np.float32],
    clock: NDArray[np.float64],
    *,
    model: Model,
    grid: Grid,
    cell: tuple[int, int],
    seed: int,
) -> tuple[NDArray[np.float64], ...]:
    probe = Probe(model, grid, cell)
    lead = fields.shape[:-4]
    results = [
        _one_window(fields[number], clock[number], probe=probe, grid=grid, seed=seed + int(clock[number][-1, 2]))
        for number in np.ndindex(lead)
    ]
    return tuple(np.stack(parts).reshape(*lead, *parts[0].shape) for parts in zip(*results, strict=True))


def faithfulness(windows: Windows, *, seed: int = 0) -> xr.Dataset:
    """Hide boxes of the input in several orders and measure how the state of the base point changes.

    Parameters
    ----------
    windows : Windows
        Times and base point.
    seed : int
        Seed of the random order.

    Returns
    -------
    Dataset
        ``deletion`` (time, order, share): change when the first share of the area in an order is hidden, 1 being the
        change when all boxes are; ``insertion``: the change that is left when only that share is shown
        (attention, least and random alone; NaN for the trivial orders, which are only hidden by); ``effect``
        (time, latitude, longitude): relative change when a box is hidden alone; ``skill`` (time, predictor): rank
        correlation of a map with that effect over boxes, ``"attention beyond the rest"`` being the partial one;
        ``attention`` (time, latitude, longitude). Lazy.
    """
    core = ["step", "variable", "latitude", "longitude"]
    predictors = ["attention", *CONTROLS, "attention beyond the rest"]
    deletion, insertion, effect, skill, attention = xr.apply_ufunc(
        _kernel,
        windows.fields,
        windows.clock,
        input_core_dims=[core, ["step", "hand"]],
        output_core_dims=[
            ["order", "share"],
            ["order", "share"],
            ["latitude", "longitude"],
            ["predictor"],
            ["latitude", "longitude"],
        ],
        dask="parallelized",
        output_dtypes=[np.float64] * 5,
        dask_gufunc_kwargs={
            "output_sizes": {"order": len(ORDERS), "share": len(SHARES), "predictor": len(predictors)},
            "allow_rechunk": False,
        },
        kwargs={"model": windows.model, "grid": windows.grid, "cell": windows.cell, "seed": seed},
    )
    coords = {"order": list(ORDERS), "share": list(SHARES), "predictor": predictors}
    out = xr.Dataset(
        {"deletion": deletion, "insertion": insertion, "effect": effect, "skill": skill, "attention": attention}
    )
    out = out.assign_coords(coords).astype(np.float32)
    for name, words in _LONG_NAMES.items():
        out[name].attrs = {"long_name": words, "units": "1"}
    return out
