"""How much each variable matters to the network: by its gates, by leaving it out, and by gradients, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.influence import gradients
from xfaconv.analysis.probe import Probe, Window, find_target
from xfaconv.analysis.windows import cut_windows
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from xfaconv.models import Model


def _occlusion(
    fields: NDArray[np.float32],
    clock: NDArray[np.float64],
    *,
    model: Model,
    grid: Grid,
    cell: tuple[int, int],
    everywhere: bool,
) -> NDArray[np.float32]:
    """Change of the embedding, or of the base point's state, when one variable is left out of the whole window."""
    probe = Probe(model, grid, cell)
    lead, count = fields.shape[:-4], fields.shape[-3]
    out = np.zeros((int(np.prod(lead, dtype=int)), count), dtype=np.float32)
    for place, number in enumerate(np.ndindex(lead)):
        window = Window.of(fields[number], clock[number])
        out[place] = probe.without_variables(window, everywhere=everywhere)
    return out.reshape(*lead, count)


def variable_importance(
    ds: xr.Dataset,
    *,
    method: Literal["occlusion", "gradient"] = "occlusion",
    base_point: tuple[float, float] | None = None,
    samples: int | None = None,
    season: str | Sequence[int] | None = None,
    **arguments: Any,
) -> xr.DataArray:
    """Say how much each variable matters to the embedding, or to the state of a base point.

    The gates of `xfaconv.importance` act on mixtures of variables and say what the network lets through; this says
    what changes when a variable is gone (``"occlusion"``), or changes a little (``"gradient"``).

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    method : {"occlusion", "gradient"}
        The change of the embedding when the variable is replaced by its climatology and marked as missing, or the
        area-weighted size of the gradient times the spread of the input.
    base_point : (latitude, longitude), optional
        Ask about the state of this place instead of the embedding.
    samples : int, optional
        Number of times. Default: the last step of each of the model's segments.
    season : str or sequence of int, optional
        Season of those times.
    **arguments
        Of `xfaconv.embed`.

    Returns
    -------
    DataArray (time, variable), float32
        Non-negative, summing to 1 over the variables; lazy if the data are.

    Raises
    ------
    ArgumentError
        If the method is unknown.
    TimeError
        If no window fits into the record.

    Examples
    --------
    >>> variable_importance(ds, method="occlusion").mean("time")  # doctest: +SKIP
    """
    if method not in ("occlusion", "gradient"):
        raise ArgumentError(
            "unknown method", expected="'occlusion' or 'gradient'", found=repr(method), fix="method='occlusion'"
        )
    windows = cut_windows(ds, base_point, samples=samples, season=season, needs_attention=False, **arguments)
    everywhere = base_point is None
    if method == "occlusion":
        raw = xr.apply_ufunc(
            _occlusion,
            windows.fields,
            windows.clock,
            input_core_dims=[["step", "variable", "latitude", "longitude"], ["step", "hand"]],
            output_core_dims=[["variable"]],
            dask="parallelized",
            output_dtypes=[np.float32],
            kwargs={
                "model": windows.model,
                "grid": windows.grid,
                "cell": windows.cell,
                "everywhere": everywhere,
            },
        )
    else:
        derivative = gradients(windows, find_target(windows.model, "embedding" if everywhere else "hidden"))
        # Gradient times input is the first-order effect of removing the input; squares keep signs from cancelling.
        effect = derivative.astype(np.float64) * windows.fields.fillna(0)
        raw = (effect**2).sum(["step", "latitude", "longitude"]) ** 0.5
    total = raw.sum("variable")
    out = (raw / total.where(total > 0)).astype(np.float32).rename("importance")
    out.attrs = {
        "long_name": f"importance of the variable by {method}",
        "units": "1",
        "method": method,
        "of": "embedding" if everywhere else "state of the base point",
        "model": windows.model.card.name,
        "weights_sha256": windows.model.sha256,
    }
    found: xr.DataArray = windows.finished(windows.restored(out).to_dataset())["importance"]
    return found


def importance_agreement(*importances: xr.DataArray) -> xr.DataArray:
    """Rank correlation between the mean importances of several methods.

    Parameters
    ----------
    *importances : DataArray (time, variable)
        Two or more.

    Returns
    -------
    DataArray (method, other)
        Spearman's, -1 to 1; ``method`` names come from attrs, ``"gate"`` where there is none.

    Raises
    ------
    ArgumentError
        If fewer than two are given.

    Examples
    --------
    >>> gate = xr.DataArray([[0.5, 0.3, 0.2]], {"variable": ["a", "b", "c"]}, ("time", "variable"))
    >>> float(importance_agreement(gate, gate[:, ::-1])[0, 1])
    1.0
    """
    from scipy.stats import spearmanr

    if len(importances) < 2:
        raise ArgumentError("agreement needs two importances", found=str(len(importances)))
    first = importances[0]
    means = [entry.mean("time").sel(variable=first["variable"].values) for entry in importances]
    names = [str(entry.attrs.get("method", "gate")) for entry in importances]
    table = np.array([[float(spearmanr(a.values, b.values)[0]) for b in means] for a in means])
    return xr.DataArray(table, {"method": names, "other": names}, ("method", "other"), "rank_correlation")
