"""Occlusion: whether hiding what a base point attends to changes it more than hiding anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.explanation.network_probe import Probe, Window, Windows, over_windows
from xfaconv.analysis.statistics.correlation import partial_rank_correlation
from xfaconv.grid import Grid, great_circle_degrees

FloatArray = NDArray[np.float64]

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7)
# Maps that need no model. An order of boxes by attention must do better than orders by these.
CONTROLS = ("distance", "latitude", "variance")
ORDERS = ("attention", "least", "random", *CONTROLS)
# Showing only the first boxes is measured for these orders alone: it doubles the runs of the network.
_INSERTED = ("attention", "least", "random")
PREDICTORS = ("attention", *CONTROLS, "attention beyond simple maps")
_RANDOM_DRAWS = 3
_PREFERENCE_DIGITS = 4
_LONG_NAMES = {
    "deletion": "change of the base point when the first boxes of an order are hidden, 1 when all are",
    "insertion": "change of the base point when only the first boxes of an order are shown, 1 when none are",
    "effect": "relative change of the base point's state when a box is hidden alone",
    "skill": "rank correlation of a map with the effect of hiding a box",
    "attention": "share of attention",
}


@dataclass(frozen=True, eq=False)
class Boxes:
    """A grid cut into boxes of about equal area, the surroundings of a base point left out.

    Parameters
    ----------
    number : ndarray (latitude, longitude)
        Box of each cell; -1 near the base point.
    area : ndarray (latitude, longitude)
        Area of each cell, mean 1.
    distance : ndarray (latitude, longitude)
        Great-circle distance from the base point [degrees].
    """

    number: NDArray[np.int64]
    area: FloatArray
    distance: FloatArray

    @property
    def count(self) -> int:
        """Number of boxes."""
        return int(self.number.max()) + 1

    @property
    def size(self) -> FloatArray:
        """Area of each box."""
        inside = self.number >= 0
        return np.bincount(self.number[inside], self.area[inside], minlength=self.count).astype(np.float64)

    def mean(self, field: NDArray[np.floating]) -> FloatArray:
        """Area-weighted mean of a map over each box (box,)."""
        inside = self.number >= 0
        total = np.bincount(self.number[inside], (field * self.area)[inside], minlength=self.count)
        return np.asarray(total / self.size)

    def mask(self, boxes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the cells of some boxes."""
        return np.isin(self.number, boxes)

    def first(self, order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
        """Boxes from the beginning of an order that together make the share of the area, to the nearest box."""
        filled = np.cumsum(self.size[order]) / self.size.sum()
        return order[: max(1, int(np.searchsorted(filled, share - 0.5 / self.count, side="left")) + 1)]


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


def cut_boxes(grid: Grid, cell: tuple[int, int], *, side: float, near: float) -> Boxes:
    """Cut a grid into boxes.

    Parameters
    ----------
    grid : Grid
        The grid.
    cell : (int, int)
        Row and column of the base point.
    side : float
        Side of a box [degrees]; its width grows with latitude so that areas stay alike.
    near : float
        Cells within this distance [degrees] of the base point belong to no box.

    Returns
    -------
    Boxes

    Examples
    --------
    >>> boxes = cut_boxes(Grid.regular(5.0), (18, 0), side=20, near=15)
    >>> bool(boxes.count > 90), bool(boxes.size.max() / np.median(boxes.size) < 1.6)
    (True, True)
    """
    latitude, longitude = (np.asarray(axis) for axis in (grid.latitude, grid.longitude))
    south, north = grid.latitude_edges[0], grid.latitude_edges[-1]
    west, east = grid.longitude_edges[0], grid.longitude_edges[-1]
    bands = max(1, round((north - south) / side))
    band = np.minimum(((latitude - south) / (north - south) * bands).astype(int), bands - 1)
    number = np.full(grid.shape, -1, dtype=np.int64)
    start = 0
    for position in range(bands):
        middle = south + (position + 0.5) * (north - south) / bands
        boxes = max(1, round((east - west) * np.cos(np.deg2rad(middle)) / side))
        column = np.minimum(((longitude - west) / (east - west) * boxes).astype(int), boxes - 1)
        number[band == position] = start + column
        start += boxes
    place = float(latitude[cell[0]]), float(longitude[cell[1]])
    distance = great_circle_degrees(latitude[:, None], longitude[None, :], place)
    number[distance < near] = -1
    # Boxes that lie whole in the surroundings leave no gap in the numbering.
    number[number >= 0] = np.unique(number[number >= 0], return_inverse=True)[1]
    return Boxes(number, np.asarray(grid.area), distance)


def simple_maps(boxes: Boxes, grid: Grid, fields: NDArray[np.floating]) -> dict[str, FloatArray]:
    """Give maps that need no model: nearness, cosine of latitude, and variance of the input window.

    Examples
    --------
    >>> grid = Grid.regular(30.0)
    >>> boxes = cut_boxes(grid, (3, 0), side=30, near=10)
    >>> sorted(simple_maps(boxes, grid, np.zeros((2, 1, 6, 12))))
    ['distance', 'latitude', 'variance']
    """
    cosine = np.cos(np.deg2rad(np.asarray(grid.latitude)))[:, None]
    return {
        "distance": -boxes.distance,
        "latitude": np.broadcast_to(cosine, grid.shape).astype(np.float64),
        "variance": np.asarray((np.asarray(fields, dtype=np.float64) ** 2).mean(axis=(0, 1))),
    }


def _orders(
    preference: FloatArray, controls: Mapping[str, FloatArray], seed: int
) -> dict[str, list[NDArray[np.int64]]]:
    """Orders of the boxes to hide them in, several where chance decides."""
    generator = np.random.default_rng(seed)
    count = len(preference)
    # Ties are broken at random: in order of their number, boxes would be hidden from the South Pole on, and a map
    # without any preference would be judged by that order.
    by_attention = np.lexsort((generator.random(count), -preference))
    orders = {
        "attention": [by_attention],
        "least": [by_attention[::-1]],
        # One random order can be lucky: three are averaged.
        "random": [generator.permutation(count) for _ in range(_RANDOM_DRAWS)],
    }
    return orders | {name: [np.argsort(-means, kind="stable")] for name, means in controls.items()}


def _hide_boxes(probe: Probe, window: Window, *, seed: int) -> tuple[NDArray[np.float32], ...]:
    """Give deletion and insertion (order, share), effects of the boxes as a map, skill, and the attention map."""
    side, near = box_size(probe.grid)
    boxes = cut_boxes(probe.grid, probe.cell, side=side, near=near)
    attention = probe.attention(window).astype(np.float64)
    preference = boxes.mean(attention / boxes.area)
    # What differs by rounding alone is no preference: such boxes tie.
    preference = np.round(preference / preference.mean(), _PREFERENCE_DIGITS)
    simple = simple_maps(boxes, probe.grid, window.fields)
    controls = {name: boxes.mean(simple[name]) for name in CONTROLS}
    plain = probe.states(window, np.zeros((1, *probe.grid.shape), dtype=bool))[0].astype(np.float64)
    norm = max(float(np.linalg.norm(plain)), 1e-12)

    def change(masks: Sequence[NDArray[np.bool_]]) -> Any:
        """Change of the base point's state, relative to its norm, for each mask of hidden cells."""
        return np.linalg.norm(probe.states(window, np.stack(masks)).astype(np.float64) - plain, axis=1) / norm

    everything = boxes.number >= 0
    *effect, whole = change([*(boxes.number == number for number in range(boxes.count)), everything])
    whole = max(whole, 1e-12)
    deletion, insertion = np.full((2, len(ORDERS), len(SHARES)), np.nan)
    for row, (name, draws) in enumerate(_orders(preference, controls, seed + window.last_index).items()):
        hidden = [boxes.mask(boxes.first(order, share)) for order in draws for share in SHARES]
        deletion[row] = change(hidden).reshape(len(draws), -1).mean(axis=0) / whole
        if name in _INSERTED:
            shown = [everything & ~mask for mask in hidden]
            insertion[row] = change(shown).reshape(len(draws), -1).mean(axis=0) / whole
    effects = np.array(effect)
    predictors = [preference, *controls.values()]
    skill = [partial_rank_correlation(means, effects, []) for means in predictors]
    skill.append(partial_rank_correlation(preference, effects, list(controls.values())))
    painted = np.where(everything, np.append(effects, np.nan)[boxes.number], np.nan)
    found = deletion, insertion, painted, np.array(skill), attention
    return tuple(values.astype(np.float32) for values in found)


def runs_to_hide(grid: Grid, cell: tuple[int, int]) -> int:
    """Count the runs of the network that `hide_boxes` takes for one window.

    Examples
    --------
    >>> 100 < runs_to_hide(Grid.regular(5.0), (18, 0)) < 250
    True
    """
    side, near = box_size(grid)
    draws = {name: _RANDOM_DRAWS if name == "random" else 1 for name in ORDERS}
    curves = sum(draws.values()) + sum(draws[name] for name in _INSERTED)
    # The attention, the state as it is, that with each box hidden, and that with all of them.
    return 3 + cut_boxes(grid, cell, side=side, near=near).count + curves * len(SHARES)


def hide_boxes(windows: Windows, *, seed: int = 0) -> xr.Dataset:
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
        (attention, least and random alone; NaN for the simple orders, which are only hidden by); ``effect``
        (time, latitude, longitude): relative change when a box is hidden alone; ``skill`` (time, predictor): rank
        correlation of a map with that effect over boxes, ``"attention beyond simple maps"`` being the partial one;
        ``attention`` (time, latitude, longitude). Lazy.
    """
    curve, on_map = ["order", "share"], ["latitude", "longitude"]
    sizes = {"order": len(ORDERS), "share": len(SHARES), "predictor": len(PREDICTORS)}
    measure = partial(_hide_boxes, seed=seed)
    parts = over_windows(windows, measure, curve, curve, on_map, ["predictor"], on_map, sizes=sizes)
    out = xr.Dataset(dict(zip(_LONG_NAMES, parts, strict=True)))
    for name, words in _LONG_NAMES.items():
        out[name].attrs = {"long_name": words, "units": "1"}
    return out.assign_coords(order=list(ORDERS), share=list(SHARES), predictor=list(PREDICTORS))
