"""How much each variable matters to the network: by its gates, by leaving it out, and by gradients, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area, check_arrays, time_axis
from xfaconv.analysis.influence import gradients
from xfaconv.analysis.probe import Probe, Target, Window, find_target
from xfaconv.analysis.seasons import in_season
from xfaconv.analysis.windows import Windows, cut_windows
from xfaconv.arguments import Arguments, Box, as_box, check_choice, shared_arguments
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from xfaconv.models import Model

Method = Literal["gate", "occlusion", "gradient"]
METHODS: tuple[Method, ...] = ("gate", "occlusion", "gradient")

_GATE_COMMENT = (
    "what the squeeze-excitation gates let through, mapped back to the variables by |W_x|: not what changes when a "
    "variable is gone; compare with method='occlusion' before speaking of drivers"
)


@shared_arguments
def importance(
    ds: xr.Dataset,
    *,
    method: Method = "gate",
    base_point: tuple[float, float] | None = None,
    region: Box | None = None,
    target: tuple[str, int] | None = None,
    samples: int | None = None,
    season: str | Sequence[int] | None = None,
    **arguments: Unpack[Arguments],
) -> xr.DataArray:
    """Say how much each variable matters to the embedding, or to the state or a forecast of a place or region.

    The gates act on mixtures of variables behind the bottleneck and are mapped back through the size of the input
    weights: they say what the network lets through, at every step and at no cost, but a variable that the answer never
    uses can have open gates. In a network trained as the packaged ones are, on data with planted drivers, gates put
    pure noise above a driver, and the other methods did not (``benchmarks/planted.py --hide``). What changes when a
    variable is gone (``"occlusion"``), or changes a little (``"gradient"``), is what a claim about drivers needs. See
    which of them agree with `importance_agreement`.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    method : {"gate", "occlusion", "gradient"}
        The gates; the relative change of the answer when the variable is replaced by its climatology throughout the
        window; or the size of the gradient times the input, over the window. The replaced variable is not marked as
        missing: the mark would have an effect of its own. What a model makes of a record that lacks a variable is
        another question, and `xfaconv.embed` of that record answers it.
    base_point : (latitude, longitude), optional
        Ask about the state of this place instead of the embedding; not with ``"gate"``.
    region : (south, north, west, east), optional
        Ask about the states of the cells whose centres are inside, by area; not with ``"gate"``.
    target : (variable, lead), optional
        Ask about this forecast there, such as ``("z500", 1)``, instead of the state. A state holds all that the network
        reads, a variable that nothing follows from included; a forecast holds what follows.
    samples : int, optional
        Number of times, spread evenly. Default: every step for ``"gate"``, the last step of each of the model's
        segments for the others, each of which costs one run of a window per variable (one backward pass).
    season : str or sequence of int, optional
        Season of those times, such as ``"DJF"``.
    **arguments
        Of `xfaconv.embed`.

    Returns
    -------
    DataArray (time, variable), float32
        Non-negative, summing to 1 over the variables; attrs give ``method`` and ``of``. Lazy if the data are.

    Raises
    ------
    ArgumentError
        If the method is unknown, or base point or region cannot be used.
    ModelError
        If the network has no gates and ``method="gate"``.
    TimeError
        If no window fits into the record, or no step is in the season.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> tropics = xfaconv.importance(ds, method="occlusion", region=(-10, 10, 160, 270), samples=2)
    >>> tropics.dims, tropics.sizes["variable"]
    (('time', 'variable'), 5)
    """
    check_choice("method", method, METHODS)
    region = None if region is None else as_box(region)
    if method == "gate":
        if base_point is not None or region is not None or target is not None:
            raise ArgumentError(
                "gates are the same everywhere: they know no place",
                expected="method='occlusion' or 'gradient' for a base point or a region",
                found="method='gate'",
                fix="importance(ds, method='occlusion', region=(-10, 10, 160, 270))",
            )
        return _of_gates(ds, samples, season, arguments)
    if base_point is not None and region is not None:
        raise ArgumentError("both a base point and a region are given", expected="one of them", fix="region=None")
    windows = cut_windows(ds, base_point, samples=samples, season=season, needs_attention=False, **arguments)
    where = _where(windows, base_point, region)
    if target is not None and where is None:
        raise ArgumentError(
            "a forecast is one of a place",
            fix="importance(ds, method='occlusion', base_point=(0, -140), target=('z500', 1))",
        )
    asked = find_target(windows.model, target if target is not None else "embedding" if where is None else "hidden")
    raw = _occluded(windows, where, asked) if method == "occlusion" else _by_gradient(windows, where, asked)
    total = raw.sum("variable")
    out = (raw / total.where(total > 0)).astype(np.float32).rename("importance")
    what = "state" if target is None else f"forecast of {target[0]} at lead {target[1]}"
    place = f"{what} of the base point {base_point}" if base_point is not None else f"{what}s of the region {region}"
    out.attrs = {
        "long_name": f"importance of the variable by {method}",
        "units": "1",
        "method": method,
        "of": "embedding" if where is None else place,
        "season": "all" if season is None else str(season),
        "model": windows.model.card.name,
        "weights_sha256": windows.model.sha256,
    }
    found: xr.DataArray = windows.finished(windows.restored(out).to_dataset())["importance"]
    return found


def _of_gates(
    ds: xr.Dataset, samples: int | None, season: str | Sequence[int] | None, arguments: Arguments
) -> xr.DataArray:
    from xfaconv.engine import importance as gates

    found = gates(ds, **arguments)
    time = time_axis(found)
    chosen = np.flatnonzero(in_season(found[time], season))
    if not len(chosen):
        raise TimeError("no step is in the season", expected=f"steps in {season}", found=f"{found.sizes[time]} steps")
    if samples is not None and samples < len(chosen):
        chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, samples).round().astype(int))]
    attrs = {"method": "gate", "of": "all outputs", "comment": _GATE_COMMENT}
    return found.isel({time: chosen}).assign_attrs({**found.attrs, **attrs})


def _where(windows: Windows, base_point: tuple[float, float] | None, region: Box | None) -> NDArray[np.float32] | None:
    """Weights of the cells that are asked about, summing to 1; None for the embedding."""
    weights = np.zeros(windows.grid.shape)
    if base_point is not None:
        weights[windows.cell] = 1
    elif region is not None:
        weights = cell_area(windows.fields, region, cells="centres").values
        if not weights.any():
            raise ArgumentError(
                "no cell of the model's grid has its centre in the region",
                expected="(south, north, west, east) [degrees] inside the domain",
                found=repr(region),
                fix="region=(-10, 10, 160, 270)",
            )
    else:
        return None
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _occluded_kernel(
    fields: NDArray[np.float32],
    clock: NDArray[np.float64],
    *,
    model: Model,
    grid: Grid,
    cell: tuple[int, int],
    where: NDArray[np.float32] | None,
    target: Target,
) -> NDArray[np.float32]:
    probe = Probe(model, grid, cell)
    lead, count = fields.shape[:-4], fields.shape[-3]
    out = np.zeros((int(np.prod(lead, dtype=int)), count), dtype=np.float32)
    for place, number in enumerate(np.ndindex(lead)):
        out[place] = probe.without_variables(Window.of(fields[number], clock[number]), where, target)
    return out.reshape(*lead, count)


def _occluded(windows: Windows, where: NDArray[np.float32] | None, target: Target) -> xr.DataArray:
    """Relative change of the answer when one variable is left out of the whole window (time, variable)."""
    raw: xr.DataArray = xr.apply_ufunc(
        _occluded_kernel,
        windows.fields,
        windows.clock,
        input_core_dims=[["step", "variable", "latitude", "longitude"], ["step", "hand"]],
        output_core_dims=[["variable"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        kwargs={"model": windows.model, "grid": windows.grid, "cell": windows.cell, "where": where, "target": target},
    )
    return raw


def _by_gradient(windows: Windows, where: NDArray[np.float32] | None, target: Target) -> xr.DataArray:
    """Size of gradient times input, the first-order effect of removing it; squares keep signs from cancelling."""
    effect = gradients(windows, target, where).astype(np.float64) * windows.fields.fillna(0)
    return (effect**2).sum(["step", "latitude", "longitude"]) ** 0.5


def importance_agreement(*importances: xr.DataArray) -> xr.DataArray:
    """Rank correlation between the mean importances of several methods.

    Parameters
    ----------
    *importances : DataArray (time, variable)
        Two or more, as `importance` gives them.

    Returns
    -------
    DataArray (one, other)
        Spearman's, -1 to 1; labelled by the methods that attrs name.

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
    check_arrays(**{f"importance {number}": given for number, given in enumerate(importances, 1)})
    first = importances[0]
    means = [entry.mean(time_axis(entry)).sel(variable=first["variable"].values) for entry in importances]
    names = [str(entry.attrs.get("method", "gate")) for entry in importances]
    table = np.array([[float(spearmanr(a.values, b.values)[0]) for b in means] for a in means])
    return xr.DataArray(table, {"one": names, "other": names}, ("one", "other"), "rank_correlation")


def importance_for_card(ds: xr.Dataset, model: Model, *, samples: int = 12) -> dict[str, Any]:
    """Measure all importances on some data, as the plain numbers that a model card holds.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields, best of years that the model has not seen.
    model : Model
        The model.
    samples : int
        Number of times.

    Returns
    -------
    dict
        Method to variable to mean importance, ``"rank_correlation"`` of each pair of methods, and ``"samples"``.

    Raises
    ------
    XFaconvError
        If the data do not suit the model.

    Examples
    --------
    >>> importance_for_card(ds, model)["rank_correlation"]  # doctest: +SKIP
    """
    found = [importance(ds, method=method, samples=samples, model=model).compute() for method in METHODS]
    table = importance_agreement(*found)
    out: dict[str, Any] = {"samples": samples}
    for method, values in zip(METHODS, found, strict=True):
        mean = values.mean(time_axis(values)).to_series()
        out[method] = {str(name): round(float(share), 3) for name, share in mean.items()}
    out["rank_correlation"] = {
        f"{one} and {other}": round(float(table.sel(one=one, other=other)), 2)
        for one, other in combinations(METHODS, 2)
    }
    return out
