"""What a base point depends on, through attention, recurrence and all: gradients by every cell of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.probe import Probe, Target, Window, find_target
from xfaconv.analysis.windows import Windows, cut_windows
from xfaconv.arguments import Arguments, check_arguments, shared_arguments
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from xfaconv.models import Model


def _gradient(
    fields: NDArray[np.float32],
    clock: NDArray[np.float64],
    *,
    model: Model,
    grid: Grid,
    cell: tuple[int, int],
    target: Target,
    where: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    out = np.empty(fields.shape, dtype=np.float32)
    probe = Probe(model, grid, cell)
    for number in np.ndindex(fields.shape[:-4]):
        window = Window.of(fields[number], clock[number])
        out[number] = probe.gradient(window, target, where)
        out[number][~np.isfinite(fields[number])] = 0
    return out


def gradients(windows: Windows, target: Target, where: NDArray[np.float32] | None = None) -> xr.DataArray:
    """Differentiate the target by every value of every window (time, step, variable, latitude, longitude), lazy."""
    derivative: xr.DataArray = xr.apply_ufunc(
        _gradient,
        windows.fields,
        windows.clock,
        input_core_dims=[["step", "variable", "latitude", "longitude"], ["step", "hand"]],
        output_core_dims=[["step", "variable", "latitude", "longitude"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        kwargs={
            "model": windows.model,
            "grid": windows.grid,
            "cell": windows.cell,
            "target": target,
            "where": where,
        },
    )
    return derivative


@shared_arguments
def influence(
    ds: xr.Dataset,
    base_point: tuple[float, float] | None = None,
    *,
    target: str | tuple[str, int] = "hidden",
    lag: int | Sequence[int] | None = None,
    samples: int | None = None,
    season: str | Sequence[int] | None = None,
    **arguments: Unpack[Arguments],
) -> xr.DataArray:
    """Sensitivity of a base point to every cell and variable of its input window.

    Attention says where the network looks in one step; the recurrence and the local mixing carry information too.
    This is the whole of it, to first order: how much the target changes per standard deviation of each input value.
    Use attention to see the links that the network draws at a time, influence to say what a result depends on.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    base_point : (latitude, longitude)
        The place [degrees]; not needed for ``target="embedding"``.
    target : "hidden", "embedding" or (variable, lead)
        Length of the state of the base point after attention, length of the embedding, or the forecast of a variable
        at the base point, such as ``("z500", 3)``, with a lead of the model; the forecast counts in standard
        deviations of that variable's anomalies at the base point, as the model's climatology has them.
    lag : int, sequence of int, or None
        Steps before the target. None: all together, the root of the sum of squares over the window.
    samples : int, optional
        Number of times. Default: the last step of each of the model's segments.
    season : str or sequence of int, optional
        Season of the target.
    **arguments
        Of `xfaconv.embed`.

    Returns
    -------
    DataArray (time, [lag,] variable, latitude, longitude), float32
        With a lag: derivative per standard deviation, signed. Without: its size, non-negative. On the model's grid,
        labelled as the data are. `xfaconv.plot_attention` draws it, summed over the variables. One backward pass per
        time; lazy if the data are.

    Raises
    ------
    ArgumentError
        If the target, the base point or the lag cannot be used.
    TimeError
        If no window fits into the record.

    Examples
    --------
    >>> import xfaconv  # doctest: +SKIP
    >>> influence(ds, (0, -140), target=("z500", 3)).sum("variable")  # doctest: +SKIP
    """
    if lag is not None:
        check_arguments(lag=lag)
    if base_point is None and not (isinstance(target, str) and target == "embedding"):
        raise ArgumentError("influence needs a base point", fix="influence(ds, (0, -140))")
    windows = cut_windows(ds, base_point, samples=samples, season=season, needs_attention=False, **arguments)
    wanted = find_target(windows.model, target)
    derivative = gradients(windows, wanted)
    longest = derivative.sizes["step"] - 1
    lags = [] if lag is None else [lag] if isinstance(lag, int) else [int(step) for step in lag]
    if any(not 0 <= step <= longest for step in lags):
        raise ArgumentError("lag is outside the window", expected=f"0 to {longest}", found=str(lag), fix="lag=0")
    if lag is None:
        out = (derivative.astype(np.float64) ** 2).sum("step") ** 0.5
    elif isinstance(lag, int):
        out = derivative.sel(step=-lag, drop=True)
    else:
        out = derivative.sel(step=[-step for step in lags]).rename(step="lag").assign_coords(lag=lags)
    named = "length of the state" if target == "hidden" else "length of the embedding"
    described = named if isinstance(target, str) else f"forecast of {target[0]} at lead {target[1]}"
    labelled = windows.restored(out.astype(np.float32).rename("influence"))
    labelled.attrs = {
        "long_name": f"sensitivity of the {described} per standard deviation of the input",
        "units": "1",
        "target": str(target),
        "lag": "all, root of the sum of squares" if lag is None else str(lag),
        "model": windows.model.card.name,
        "weights_sha256": windows.model.sha256,
    }
    if wanted.kind != "embedding":
        # The embedding is of the whole domain: a place among its attributes would be drawn as a star.
        labelled.attrs["base_latitude"] = float(windows.grid.latitude[windows.cell[0]])
        labelled.attrs["base_longitude"] = float(windows.grid.longitude[windows.cell[1]])
    found: xr.DataArray = windows.finished(labelled.to_dataset())["influence"]
    return found
