"""Teleconnectivity: how much of each place can be inferred while the sector around its meridian is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.statistics.seasons import Season, covered, season_months
from xfaconv.analysis.statistics.significance import effective_sample_size, false_discovery
from xfaconv.arguments import Arguments, check_arguments, check_rules, is_number, shared_arguments
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import finish, labelled
from xfaconv.errors import ArgumentError, VariableError
from xfaconv.grid import Grid
from xfaconv.inference.prediction import in_training, observed
from xfaconv.inference.scores import check_methods, predicted, unseen_steps

_METHODS = ("network", "linear")
_RULES = {
    "width": (lambda value: is_number(value, 1e-3, 350), "degrees above 0, up to 350", "60"),
    "spacing": (lambda value: value is None or is_number(value, 1e-3, 360), "degrees above 0, or None", "30"),
}


@dataclass(frozen=True, eq=False)
class Sector:
    """A sector that is hidden, and the meridians that are inferred meanwhile.

    Parameters
    ----------
    hidden : ndarray (latitude, longitude) of bool
        Cells of the sector.
    columns : ndarray of int64
        Positions of the meridians that are nearest to its centre.
    """

    hidden: NDArray[np.bool_]
    columns: NDArray[np.int64]


def find_sectors(grid: Grid, width: float, spacing: float | None = None) -> list[Sector]:
    """Divide a domain into hidden sectors whose centres are evenly spaced; each meridian belongs to the nearest.

    Parameters
    ----------
    grid : Grid
        The grid.
    width : float
        Width of the sectors [degrees].
    spacing : float, optional
        Distance between the centres at the most [degrees]. Default: half of the width, so that a place is at least a
        quarter of the width from the nearest visible meridian.

    Returns
    -------
    list of Sector

    Raises
    ------
    ArgumentError
        If a sector leaves no meridian visible, or holds none.

    Examples
    --------
    >>> sectors = find_sectors(Grid.regular(5.0), 60.0)
    >>> len(sectors), sectors[0].columns.size, int(sectors[0].hidden[0].sum())
    (12, 6, 12)
    """
    longitude = np.asarray(grid.longitude, dtype=np.float64)
    domain = 360.0 if grid.periodic else float(longitude[-1] - longitude[0]) * len(longitude) / (len(longitude) - 1)
    count = max(1, int(np.ceil(round(domain / (width / 2 if spacing is None else spacing), 6))))
    first = longitude[0] - domain / len(longitude) / 2
    centres = first + (np.arange(count) + 0.5) * domain / count
    apart = np.abs((longitude[:, None] - centres[None] + 180) % 360 - 180)
    nearest = apart.argmin(axis=1)
    hidden = apart <= width / 2 + 1e-6
    if hidden.all(axis=0).any() or not hidden[np.arange(len(longitude)), nearest].all():
        wide = hidden.all(axis=0).any()
        raise ArgumentError(
            "a sector leaves nothing visible" if wide else "sectors are narrower than their spacing or than a cell",
            expected=f"a width of more than a cell, and less than the domain of {domain:g} degrees",
            found=f"width={width:g}" + ("" if spacing is None else f", spacing={spacing:g}"),
            fix=f"width={domain / 3:g}, spacing=None",
        )
    return [
        Sector(np.broadcast_to(hidden[:, number], grid.shape), np.flatnonzero(nearest == number))
        for number in range(count)
        if (nearest == number).any()
    ]


@shared_arguments
def teleconnectivity(
    ds: xr.Dataset,
    variable: str | None = None,
    *,
    season: Season = None,
    width: float = 60.0,
    spacing: float | None = None,
    methods: Sequence[str] = _METHODS,
    training: bool = False,
    alpha: float = 0.05,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Map how much of each place can be inferred from afar, on steps that the network was not trained on.

    The sector of some width around the meridian of a place is hidden in all variables and at all latitudes, and its
    fields are inferred from the rest of the same step and the steps before. Wallace and Gutzler's (1981)
    teleconnectivity is the strongest negative correlation of a place with a single other one; this counts all that the
    rest of the domain says together. One pass over the record for each sector, of which there are ``360 / spacing``.
    Near the poles a sector is narrow: what lies across the pole is visible.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    variable : str, optional
        The model's name of a variable. Default: all of them, which costs the network nothing more.
    season : str or sequence of int, optional
        Season of the steps, such as ``"DJF"``.
    width : float, default 60
        Width of the hidden sector [degrees].
    spacing : float, optional
        Distance between the centres of the sectors [degrees]. Default: half of the width.
    methods : sequence of str, default ("network", "linear")
        What infers: the network, and ridge regression from the EOFs of what is visible.
    training : bool, default False
        Count the steps of the training years too.
    alpha : float, default 0.05
        False discovery rate of the differences over the domain.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset ([variable,] latitude, longitude)
        ``explained_variance`` (prediction, ...): 1 - (sum of squared errors) / (sum of squared anomalies), 0 for
        climatology, NaN where the variable is missing. With both methods also ``difference``, network minus linear;
        ``p_value`` of a mean difference of squared errors of 0 (Student's t with the effective sample size of the
        differences, as Diebold and Mariano 1995 compare forecasts); ``adjusted_p_value``, ``significant`` and
        ``number_of_tests``. Lazy if the data are. `xfaconv.plot_teleconnectivity` draws it.

    Raises
    ------
    ModelError
        If the model was not trained to infer hidden parts.
    VariableError
        If the model has no such variable.
    TimeError
        If no step is unseen, in the season and with its whole warm-up, or too few are in the training years.
    ArgumentError
        If a sector leaves nothing visible.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> found = xfaconv.teleconnectivity(ds, "z500", season="DJF")
    >>> found.explained_variance.dims, found.attrs["sectors"]
    (('prediction', 'lat', 'lon'), 12)
    """
    check_arguments(variable=variable, training=training, alpha=alpha)
    check_rules({"width": width, "spacing": spacing}, _RULES)
    season_months(season)
    chosen = check_methods(methods, _METHODS)
    ready = prepare(ds, arguments)
    names = [entry.name for entry in ready.model.card.variables]
    if variable is not None and variable not in names:
        raise VariableError(
            f"the model has no variable '{variable}'", expected=", ".join(names), fix=f"variable='{names[0]}'"
        )
    if ready.members is not None:
        fix = f"ds = ds.isel({ready.conformed.labels.names['member']}=0)"
        raise ArgumentError("teleconnectivity takes one member", found=f"{ready.members} members", fix=fix)
    sectors = find_sectors(ready.grid, float(width), spacing)
    ready = replace(ready, steps=unseen_steps(ready, season, training=training))
    asked = names if variable is None else [variable]
    truth = {name: observed(ready, name) for name in asked}
    errors = {method: _errors(ready, method, sectors, truth) for method in chosen}
    squares = _labelled(ready, truth).astype(np.float64) ** 2
    of_method = {method: _labelled(ready, arrays) for method, arrays in errors.items()}
    outputs = _compare(of_method, squares, alpha)
    if variable is not None:
        outputs = outputs.isel(variable=0, drop=True)
    typed = {"variable": variable, "season": season, "width": width, "spacing": spacing}
    holding = ready.segments.holding(ready.steps)
    work = len(sectors) * int(holding.sum()), len(sectors) * int(ready.segments.steps_read[holding].sum())
    stamps = xr.DataArray(ready.conformed.time.values[ready.steps], dims="time", name="time")
    about = {"width": float(width), "sectors": len(sectors), "alpha": alpha, **covered(stamps, season)}
    about["training_steps_in_data"] = int(in_training(ready).sum())
    result = finish(ready, "teleconnectivity", {str(name): array for name, array in outputs.items()}, typed, work)
    for name in ("explained_variance", *(["difference"] if "difference" in result else [])):
        # Figures are made of one map alone.
        result[name].attrs.update(about if variable is None else {"variable": variable, **about})
    return result.assign_attrs({**outputs.attrs, **about})


def _errors(ready: Prepared, method: str, sectors: Sequence[Sector], truth: dict[str, da.Array]) -> dict[str, da.Array]:
    """Squared errors (time, latitude, longitude) of each variable, each meridian from the sector it belongs to."""
    parts: dict[str, list[da.Array]] = {name: [] for name in truth}
    order = np.concatenate([sector.columns for sector in sectors])
    for sector in sectors:
        found = predicted(ready, method, hide=np.ascontiguousarray(sector.hidden))
        for name, array in truth.items():
            guess = found[name][0][..., sector.columns]
            parts[name].append((guess - array[..., sector.columns]).astype(np.float64) ** 2)
    return {
        name: da.concatenate(arrays, axis=-1)[..., np.argsort(order)]  # type: ignore[no-untyped-call]
        for name, arrays in parts.items()
    }


def _labelled(ready: Prepared, arrays: dict[str, da.Array]) -> xr.DataArray:
    """Give arrays of several variables (time, latitude, longitude) the user's labels (variable, ...)."""
    found = [labelled(ready, "prediction", array, {}).drop_vars("full_warmup") for array in arrays.values()]
    names = xr.Variable("variable", np.array(list(arrays), dtype=object))
    return xr.concat(found, names, coords="minimal", compat="override", join="override")


def _compare(errors: dict[str, xr.DataArray], squares: xr.DataArray, alpha: float) -> xr.Dataset:
    """Explained variance of each method, and the difference of two with its significance."""
    time = str(squares.dims[1])
    total = squares.sum(time)
    names = xr.Variable("prediction", np.array(list(errors), dtype=object))
    explained = [1 - error.sum(time) / total.where(total > 0) for error in errors.values()]
    whole = xr.concat(explained, names, join="override")
    whole.attrs = {"long_name": "share of the variance inferred from afar", "units": "1"}
    out = xr.Dataset({"explained_variance": whole})
    if set(errors) != set(_METHODS):
        return out
    apart = (errors["linear"] - errors["network"]).where(total > 0)
    difference = apart.sum(time) / total.where(total > 0)
    difference.attrs = {"long_name": "explained variance, network minus linear", "units": "1"}
    effective = effective_sample_size(apart, dim=time)
    count = apart.notnull().sum(time)
    count = count.where(count > 1)
    mean = apart.sum(time) / count
    statistic = mean / (((apart - mean) ** 2).sum(time) / (count - 1) / effective) ** 0.5
    p_value = xr.apply_ufunc(
        _two_sided, statistic, effective - 1, dask="parallelized", output_dtypes=[np.float64]
    ).assign_attrs(long_name="p-value of equal squared errors", units="1")
    tested = false_discovery(p_value, alpha=alpha)
    return out.assign({"difference": difference, "p_value": p_value, **tested.data_vars}).assign_attrs(tested.attrs)


def _two_sided(statistic: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import t

    return np.asarray(2 * t.sf(np.abs(statistic), np.where(freedom > 0, freedom, np.nan)))
