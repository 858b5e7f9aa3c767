"""Whether maps of a base point find the regions that were planted as its drivers, against those that were not."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area
from xfaconv.analysis.planted import area_under_curve
from xfaconv.errors import CoordinateError

# Half of a footprint's height marks its region; a base point's own region is left out down to a tenth.
_INSIDE, _OWN = 0.5, 0.1


def _one(
    score: NDArray[np.float64], region: NDArray[np.bool_], left_out: NDArray[np.bool_], area: NDArray[np.float64]
) -> float:
    kept = (~left_out) & np.isfinite(score)
    return area_under_curve(score[kept], region[kept], area[kept])


def _share(
    score: NDArray[np.float64], region: NDArray[np.bool_], left_out: NDArray[np.bool_], area: NDArray[np.float64]
) -> float:
    """Mean of a map over a region over its mean over the world; 1 for a map of zeros, NaN for a region left out."""
    inside = region & ~left_out & np.isfinite(score)
    if not inside.any():
        return float("nan")
    everywhere = float(np.nansum(score * area))
    return float((score * area)[inside].sum() / area[inside].sum() / everywhere) if everywhere else 1.0


def link_recovery(maps: xr.DataArray, truth: xr.Dataset) -> xr.Dataset:
    """Score maps at the driven regions by how well they tell the driving region from the rest of the world.

    Parameters
    ----------
    maps : DataArray (base_point, latitude, longitude)
        Attention or sensitivity, one map for each driven region, named as in ``truth.target``. Attention is a share
        per cell: divide it by `cell_area` first, so that no preference is the same everywhere.
    truth : Dataset
        As `planted` gives it, on the grid of the maps.

    Returns
    -------
    Dataset
        ``auroc`` (link): area under the receiver operating curve of the driving region against the rest of the world,
        the base point's own region left out; ``unlinked_auroc`` (link): mean of the same over all regions that drive
        nothing there. ``share`` and ``unlinked_share`` (link): what falls on these regions over what would fall there
        if all places were alike, so that 1 is chance; the curve asks only for the order of the cells, also among those
        that get next to nothing, and this asks how much they get. ``direction`` (link).

    Raises
    ------
    CoordinateError
        If a map is missing or the grids differ.

    Examples
    --------
    >>> from xfaconv.analysis.planted import planted
    >>> _, truth = planted(20)
    >>> perfect = truth.footprint.sel(mode=truth.source.values).rename(mode="base_point")
    >>> perfect = perfect.assign_coords(base_point=truth.target.values)
    >>> float(link_recovery(perfect, truth).auroc.min().round(6))
    1.0
    """
    if "base_point" not in maps.dims or not set(truth.target.values) <= set(maps.base_point.values):
        raise CoordinateError(
            "the maps lack a driven region",
            expected=f"base_point with {', '.join(map(str, truth.target.values))}",
            found=f"dims {maps.dims}",
            fix="attention(ds, base_points=target_points(truth))",
        )
    if maps.sizes["latitude"] != truth.sizes["latitude"] or not np.allclose(maps.latitude, truth.latitude):
        raise CoordinateError("the maps are on another grid than the truth", fix="regrid=None")
    area = cell_area(truth).values.ravel()
    area = area / area.sum()
    footprint = {str(name): truth.footprint.sel(mode=name).values.ravel() for name in truth.mode.values}
    linked, unlinked, share, unlinked_share = [], [], [], []
    for source, target in zip(truth.source.values.tolist(), truth.target.values.tolist(), strict=True):
        score = maps.sel(base_point=target).transpose("latitude", "longitude").values.ravel().astype(np.float64)
        own = footprint[target] > _OWN
        linked.append(_one(score, footprint[source] > _INSIDE, own, area))
        drivers = set(truth.source.values[truth.target.values == target].tolist())
        others = [name for name in footprint if name != target and name not in drivers]
        driving = np.any([footprint[name] > _INSIDE for name in drivers], axis=0)
        unlinked.append(
            float(np.nanmean([_one(score, footprint[name] > _INSIDE, own | driving, area) for name in others]))
        )
        share.append(_share(score, footprint[source] > _INSIDE, own, area))
        unlinked_share.append(
            float(np.nanmean([_share(score, footprint[name] > _INSIDE, own | driving, area) for name in others]))
        )
    return xr.Dataset(
        {
            "auroc": ("link", np.array(linked), {"long_name": "area under the curve, driving region against the rest"}),
            "unlinked_auroc": ("link", np.array(unlinked), {"long_name": "the same for regions that drive nothing"}),
            "share": ("link", np.array(share), {"long_name": "share on the driving region over its share of the area"}),
            "unlinked_share": ("link", np.array(unlinked_share), {"long_name": "the same for what drives nothing"}),
            "direction": ("link", truth.direction.values),
        },
        {"link": [f"{a} -> {b}" for a, b in zip(truth.source.values, truth.target.values, strict=True)]},
    )
