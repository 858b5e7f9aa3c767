"""What is inferred of a hidden part of the Earth from the rest, and what is forecast; also by linear regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.arguments import Arguments, check_choice, shared_arguments
from xfaconv.engine.graph import prediction_array
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import finish, labelled
from xfaconv.errors import ArgumentError, ModelError, TimeError
from xfaconv.inference.areas import Area, Cells, find_cells
from xfaconv.inference.linear import Predictors, apply_linear, fit_linear

Method = Literal["network", "linear", "persistence"]
# A regression from the EOFs needs more steps than this.
_FEWEST_STEPS = 24


@shared_arguments
def infer(
    ds: xr.Dataset,
    hide: Area,
    *,
    method: Literal["network", "linear"] = "network",
    anomalies: bool = True,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Infer the fields of a hidden part of the Earth from what the rest of it did up to the same step.

    The hidden cells are taken out of all variables at all steps, as in the training of the network. The linear answer
    is a ridge regression from the EOFs of the visible cells at the same step, fitted to the steps of the model's
    training years that are in the data; the number of EOFs and the ridge are chosen by cross-validation there.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    hide : tuple, mapping, str, DataArray or list
        What is hidden: a box (south, north, west, east), a place (latitude, longitude), ``{"place": (latitude,
        longitude), "radius": km}``, ``{"sector": (west, east)}``, the name of a region such as ``"nino34"``, a mask
        (latitude, longitude), or a list of these.
    method : {"network", "linear"}, default "network"
        What infers.
    anomalies : bool, default True
        Give anomalies; False gives full values.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset
        For each variable of the model its inferred values (NaN outside the hidden area) and, as ``NAME_observed``, the
        observed ones, ([member,] time, latitude, longitude), float32, in the units of `ds`. Coordinates: ``hidden
        (latitude, longitude)``, ``in_training (time)``, ``full_warmup (time)``.

    Raises
    ------
    ArgumentError
        If nothing is hidden, or nothing is left visible.
    ModelError
        If the model was not trained to infer hidden parts.
    TimeError
        If the linear answer is asked for and the data hold too few steps of the training years.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> found = xfaconv.infer(ds, hide=(20, 80, 140, 250))
    >>> found.z500.dims, list(found)[:2]
    (('time', 'lat', 'lon'), ['sst', 'sst_observed'])
    """
    check_choice("method", method, ("network", "linear"))
    ready = prepare(ds, arguments)
    cells = find_hidden(ready, hide)
    found = predict(ready, method, hide=cells.mask)
    outputs: dict[str, xr.DataArray] = {}
    for name, arrays in found.items():
        inside = da.where(cells.mask, arrays[0], np.float32(np.nan))
        outputs |= _both(ready, name, [inside], (0,), anomalies=anomalies, said="inferred", axis=False)
    result = finish(ready, "infer", outputs, {"hide": cells.words, "method": method})
    attrs = {"long_name": "whether the cell was hidden"}
    mask = ready.conformed.labels.restore(xr.DataArray(cells.mask, dims=("latitude", "longitude"), attrs=attrs))
    return result.assign_coords(hidden=mask).assign_attrs(hidden_area=cells.words, method=method)


@shared_arguments
def forecast(
    ds: xr.Dataset,
    *,
    leads: Sequence[int] | None = None,
    method: Method = "network",
    anomalies: bool = True,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Forecast the fields at the leads of the model.

    The linear answer is a ridge regression from the EOFs of all variables, and ``"persistence"`` damped persistence
    with one coefficient for each variable; both are fitted to the steps of the model's training years in the data.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    leads : sequence of int, optional
        Leads of the model [steps]. Default: all above 0.
    method : {"network", "linear", "persistence"}, default "network"
        What forecasts.
    anomalies : bool, default True
        Give anomalies; False gives full values.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    Dataset
        For each variable of the model its forecast and, as ``NAME_observed``, what was observed later (NaN beyond the
        record), ([member,] lead, time, latitude, longitude), float32, in the units of `ds`. ``time`` is the step that
        the forecast starts from. Coordinates: ``in_training (time)``, ``full_warmup (time)``.

    Raises
    ------
    ModelError
        If the model has no such lead.
    TimeError
        If a fitted method is asked for and the data hold too few steps of the training years.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> xfaconv.forecast(ds, leads=[1]).sizes["lead"]
    1
    """
    check_choice("method", method, ("network", "linear", "persistence"))
    ready = prepare(ds, arguments)
    known = ready.model.card.network.leads
    asked = tuple(lead for lead in known if lead) if leads is None else tuple(leads)
    for lead in asked:
        require_lead(ready, lead)
    found = predict(ready, method, leads=asked)
    outputs: dict[str, xr.DataArray] = {}
    for name, arrays in found.items():
        outputs |= _both(ready, name, arrays, asked, anomalies=anomalies, said="forecast", axis=True)
    result = finish(ready, "forecast", outputs, {"leads": asked, "method": method})
    return result.assign_attrs(method=method)


def find_hidden(ready: Prepared, hide: Area) -> Cells:
    """Find the hidden cells, and refuse an area that leaves nothing to infer them from.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    hide : tuple, mapping, str, DataArray or list
        See `infer`.

    Returns
    -------
    Cells

    Raises
    ------
    ArgumentError
        If no cell is hidden, or none is left.
    """
    cells = find_cells(ready.grid, hide)
    if cells.mask.all():
        raise ArgumentError(
            "hide leaves nothing visible",
            expected="an area smaller than the domain",
            found=f"all {cells.mask.size} cells hidden: {cells.words}",
            fix="hide={'place': (50, -165), 'radius': 2000}  # or a smaller box",
        )
    return cells


def require_lead(ready: Prepared, lead: int) -> int:
    """Give the position of a lead among those of the model.

    Raises
    ------
    ModelError
        If the model has no such lead.
    """
    leads = ready.model.card.network.leads
    if lead in leads:
        return leads.index(lead)
    name = ready.model.card.name
    if lead == 0:
        raise ModelError(
            f"model {name!r} was not trained to infer hidden parts",
            expected="a model with lead 0",
            found=f"leads {leads}",
            fix="ds.faconv.fit(leads=(0, 1))  # or model='ncep-monthly-2p5deg'",
        )
    raise ModelError(
        f"model {name!r} does not forecast {lead!r} steps ahead", found=f"leads {leads}", fix=f"leads=({leads[-1]},)"
    )


def in_training(ready: Prepared) -> NDArray[np.bool_]:
    """Whether each step of the data (time,) lies in the training years that the model's card names."""
    stamps, years = ready.conformed.time.values, ready.model.card.years.get("train", "")
    marked = np.zeros(len(stamps), dtype=bool)
    first, found, last = years.partition(" to ")
    if found:
        positions = xr.DataArray(np.arange(len(stamps)), {"time": stamps}, ("time",))
        marked[positions.sel(time=slice(first.strip(), last.strip())).values] = True
    return marked


def _training_pairs(ready: Prepared, lead: int, method: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of training steps, and of the steps that are a lead later and in training too."""
    trained = in_training(ready)
    later = steps_later(ready, lead)
    now = np.flatnonzero(trained & (later >= 0) & trained[later])
    if len(now) < _FEWEST_STEPS:
        years = ready.model.card.years.get("train", "unknown years")
        name = ready.conformed.labels.names.get("time", "time")
        span = ready.conformed.time.describe()
        raise TimeError(
            f"method={method!r} is fitted to the steps of the training years, and the data hold {len(now)} of them",
            expected=f"at least {_FEWEST_STEPS} steps in {years}",
            found=span,
            fix=f"method='network'  # or open the record of {years} too: xr.concat([earlier, ds], {name!r})",
        )
    return now.astype(np.int64), later[now]


def steps_later(ready: Prepared, lead: int) -> NDArray[np.int64]:
    """Position of the step that is a lead after each step of the data (time,), -1 where the data have none."""
    index = ready.conformed.time.index
    at = np.minimum(np.searchsorted(index, index + lead), len(index) - 1)
    return np.where(index[at] == index + lead, at, -1).astype(np.int64)


def predict(
    ready: Prepared, method: str, *, leads: Sequence[int] = (0,), hide: NDArray[np.bool_] | None = None
) -> dict[str, list[da.Array]]:
    """Predict standardised anomalies at the steps that are asked for, lazily.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    method : {"network", "linear", "persistence"}
        What predicts.
    leads : sequence of int
        Steps ahead.
    hide : ndarray (latitude, longitude) of bool, optional
        Cells hidden in all variables.

    Returns
    -------
    dict of str to list of dask array ([member,] time, latitude, longitude), float32
        For each variable one array for each lead.

    Raises
    ------
    ModelError, TimeError, ArgumentError
        As `infer` and `forecast` do.
    """
    names = [variable.name for variable in ready.model.card.variables]
    positions = tuple(require_lead(ready, lead) for lead in leads)
    if method == "network":
        source = ready.source(needs_hidden=False, hide=hide, leads=positions)
        whole = [prediction_array(source, number, len(names), ready.grid.shape) for number in range(len(leads))]
        return {name: [array[..., number, :, :] for array in whole] for number, name in enumerate(names)}
    if ready.members is not None:
        member = ready.conformed.labels.names["member"]
        raise ArgumentError(
            f"method={method!r} takes one member", found=f"{ready.members} members", fix=f"ds = ds.isel({member}=0)"
        )
    asked = slice(None) if ready.steps is None else ready.steps
    if method == "persistence":
        pairs = [_training_pairs(ready, lead, method) for lead in leads]
        return {
            name: [array[asked] * _damping(array, ready.grid.area, *pair) for pair in pairs]
            for name, array in zip(names, ready.arrays, strict=True)
        }
    fields = da.stack(ready.arrays, axis=1)  # type: ignore[no-untyped-call]
    cells = np.ones(ready.grid.shape, dtype=bool) if hide is None else hide
    # One column for each hidden cell of each variable, the variables one after the other.
    flat = [array.reshape(len(array), -1) for array in ready.arrays]  # type: ignore[no-untyped-call]
    columns = [array[:, np.flatnonzero(cells)] for array in flat]
    targets = da.concatenate(columns, axis=1)  # type: ignore[no-untyped-call]
    predictors = Predictors.of(ready.grid, len(names), hide)
    out: dict[str, list[da.Array]] = {name: [] for name in names}
    for lead in leads:
        fit = fit_linear(fields, targets, predictors, *_training_pairs(ready, lead, method))
        found = apply_linear(fields[asked], fit, hide)
        for number, name in enumerate(names):
            out[name].append(found[:, number])
    return out


def _damping(array: da.Array, area: NDArray[np.float64], now: NDArray[np.int64], later: NDArray[np.int64]) -> da.Array:
    """Coefficient of damped persistence, one number: sum of area x(t) x(t + lead) over sum of area x(t)^2."""
    first, second = array[now].astype(np.float64), array[later].astype(np.float64)
    both = da.isfinite(first) & da.isfinite(second)
    product = (da.where(both, first * second, 0) * area).sum()
    square = (da.where(both, first**2, 0) * area).sum()
    ratio: da.Array = (product / da.maximum(square, 1e-30)).astype(np.float32)
    return ratio


def observed(ready: Prepared, name: str, lead: int = 0) -> da.Array:
    """Observed standardised anomalies a lead after the steps that are asked for ([member,] time, latitude, longitude).

    NaN where the data have no such step.
    """
    number = [variable.name for variable in ready.model.card.variables].index(name)
    array = ready.arrays[number]
    later = steps_later(ready, lead)
    later = later if ready.steps is None else later[ready.steps]
    if lead == 0:
        return array if ready.steps is None else array[..., later, :, :]
    there = (later >= 0)[:, None, None]
    taken = array[..., np.maximum(later, 0), :, :]
    found: da.Array = da.where(there, taken, np.float32(np.nan))
    return found


def seasons_later(ready: Prepared, lead: int) -> NDArray[np.int64]:
    """Positions at the time of year of the steps asked for plus a lead; beyond the record, of other years."""
    time = ready.conformed.time
    later = steps_later(ready, lead)
    phase = time.year_phase
    per_year = (phase[1:] - phase[:-1]) % 1
    step = float(np.median(per_year)) if per_year.size else 0.0
    for at in np.flatnonzero(later < 0):
        apart = np.abs((phase - phase[at] - lead * step + 0.5) % 1 - 0.5)
        later[at] = int(apart.argmin())
    return later if ready.steps is None else later[ready.steps]


def _both(
    ready: Prepared,
    name: str,
    predicted: Sequence[da.Array],
    leads: Sequence[int],
    *,
    anomalies: bool,
    said: str,
    axis: bool,
) -> dict[str, xr.DataArray]:
    """Predicted and observed values of a variable in the user's units and with the user's labels."""
    scaled = ready.conformed.scaled[name]
    kept = np.arange(len(ready.conformed.time.index))
    kept = kept if ready.steps is None else kept[ready.steps]
    long_name = next(entry.long_name for entry in ready.model.card.variables if entry.name == name)
    what = "anomaly of " if anomalies else ""
    arrays: dict[str, list[da.Array]] = {name: [], f"{name}_observed": []}
    for lead, array in zip(leads, predicted, strict=True):
        seasons = seasons_later(ready, lead) if lead else kept
        for key, values in zip(arrays, (array, observed(ready, name, lead)), strict=True):
            arrays[key].append(scaled.restore(values, seasons, anomalies=anomalies))
    before_time = int(ready.members is not None)
    extra: dict[str, Any] = {"lead": list(leads)} if axis else {}
    out = {}
    for key, word in zip(arrays, (said, "observed"), strict=True):
        several = arrays[key]
        whole = da.stack(several, axis=before_time) if axis else several[0]  # type: ignore[no-untyped-call]
        found = labelled(ready, "prediction", whole, extra).rename(key)
        found.attrs = {"long_name": f"{word} {what}{long_name}", "units": scaled.units}
        out[key] = found.assign_coords(in_training=_marked(ready, found))
    return out


def _marked(ready: Prepared, like: xr.DataArray) -> xr.DataArray:
    """Mark the steps of a result that lie in the training years."""
    trained = in_training(ready)
    trained = trained if ready.steps is None else trained[ready.steps]
    time = ready.conformed.labels.names["time"]
    years = ready.model.card.years.get("train", "not named by the model's card")
    attrs = {"long_name": "whether the step was used in training", "training_years": years}
    return xr.DataArray(trained, {time: like[time]}, (time,), attrs=attrs)
