"""Losses: area-weighted squared error where values are present, and the paper's spatial and temporal regularisers."""

from __future__ import annotations

import torch
from torch import Tensor

from xfaconv.nn.geometry import Geometry


def area_weighted_error(prediction: Tensor, target: Tensor, present: Tensor, geometry: Geometry) -> Tensor:
    """Mean squared error over the cells where the target is present, weighted by area.

    Parameters
    ----------
    prediction, target : Tensor (..., lat, lon)
        Standardised anomalies.
    present : Tensor (..., lat, lon)
        1 where the target counts, 0 elsewhere.
    geometry : Geometry
        Cell areas.

    Returns
    -------
    Tensor ()
        0 where nothing is present.

    Examples
    --------
    >>> ones = torch.ones(2, 3)
    >>> area_weighted_error(2 * ones, ones, ones, Geometry.plane(2, 3))
    tensor(1.)
    """
    weights = present * geometry.area.to(prediction.dtype)
    return (weights * (prediction - target).square()).sum() / weights.sum().clamp_min(1e-12)


def laplacian_smoothness(hidden: Tensor, geometry: Geometry) -> Tensor:
    """Compute the paper's L_lap: squared differences of the hidden state between neighbours, as a mean over pairs.

    The mean (instead of the paper's sum) keeps its weight independent of the grid and of the length of the sequence.
    On a periodic grid the last and the first column are neighbours.

    Parameters
    ----------
    hidden : Tensor (..., lat, lon, F)
        Hidden states.
    geometry : Geometry
        Says whether the columns close around the globe.

    Returns
    -------
    Tensor ()

    Examples
    --------
    >>> laplacian_smoothness(torch.ones(1, 4, 5, 2), Geometry.plane(4, 5))
    tensor(0.)
    """
    along_meridian = (hidden[..., 1:, :, :] - hidden[..., :-1, :, :]).square().sum(-1).mean()
    columns = torch.cat([hidden, hidden[..., :1, :]], dim=-2) if geometry.periodic else hidden
    along_parallel = (columns[..., 1:, :] - columns[..., :-1, :]).square().sum(-1).mean()
    return along_meridian + along_parallel


def temporal_smoothness(hidden: Tensor) -> Tensor:
    """Compute the paper's R_temporal: squared differences of the hidden state between consecutive steps, as a mean.

    Parameters
    ----------
    hidden : Tensor (batch, time, lat, lon, F)
        Hidden states.

    Returns
    -------
    Tensor ()
        0 for a single step.
    """
    if hidden.shape[1] < 2:
        return hidden.new_zeros(())
    return (hidden[:, 1:] - hidden[:, :-1]).square().sum(-1).mean()
