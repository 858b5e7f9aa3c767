"""What a component of the embedding stands for: its map in every variable, and the known index that it resembles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Unpack

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed
from numpy.typing import NDArray

from xfaconv.analysis.axes import require_dimension, time_axis
from xfaconv.analysis.statistics.correlation import correlate
from xfaconv.analysis.statistics.seasons import Season, covered, season_months, steps_of_season
from xfaconv.arguments import Arguments, check_choice, check_rules, shared_arguments
from xfaconv.engine.api import conformed_of, embedding_of
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.engine.results import finish
from xfaconv.errors import ArgumentError, TimeError

_FEWEST_STEPS = 3
_RULES = {"standardised": (lambda value: isinstance(value, bool), "True or False", "True")}


@shared_arguments
def component_maps(
    ds: xr.Dataset,
    *,
    season: Season = None,
    method: Literal["patterns", "regression"] = "patterns",
    standardised: bool = False,
    **arguments: Unpack[Arguments],
) -> xr.DataArray:
    """Map what each component of the embedding stands for.

    The map of a component is the regression of the fields on it: how far, in its units, a field departs from its
    climatology where the component is one standard deviation above its mean. The network rebuilds its
    fields from the embedding as sums of patterns; with the covariances of the components, these patterns give the
    regression without another look at the fields.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    season : str or sequence of int, optional
        Season of the steps, such as ``"DJF"``.
    method : {"patterns", "regression"}, default "patterns"
        Regress what the network rebuilds from the embedding, or the fields themselves.
    standardised : bool, default False
        Give the fields in standard deviations of their anomalies instead of units.
    **arguments
        The shared arguments of the engine.

    Returns
    -------
    DataArray (embedding, variable, latitude, longitude), float32
        Units of the variable in `ds` per standard deviation of the component, on the model's grid, labelled as `ds` is;
        NaN where a variable is missing. The coordinate ``units (variable)`` names them, and ``spread (variable,
        latitude, longitude)`` holds the standard deviations of the anomalies in them. Of the steps with a complete
        warm-up. Lazy if the data are. `xfaconv.plot_component_maps` draws it.

    Raises
    ------
    TimeError
        If fewer than three steps of the season have their whole warm-up.
    ArgumentError
        If the data have members.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> xfaconv.component_maps(ds).dims
    ('embedding', 'variable', 'lat', 'lon')
    """
    check_choice("method", method, ("patterns", "regression"))
    check_rules({"standardised": standardised}, _RULES)
    season_months(season)
    ready = prepare(ds, arguments)
    if ready.members is not None:
        fix = f"ds = ds.isel({ready.conformed.labels.names['member']}=0)"
        raise ArgumentError("component_maps takes one member", found=f"{ready.members} members", fix=fix)
    if ready.cold is not None:
        raise ready.cold
    embedding = embedding_of(ready)
    time = str(embedding.dims[0])
    usable = np.asarray(embedding["full_warmup"].values, dtype=bool)
    used = steps_of_season(embedding[time], season, usable, among="with its whole warm-up inside the data")
    if used.sum() < _FEWEST_STEPS:
        raise TimeError(
            "a regression needs more steps",
            expected=f"{_FEWEST_STEPS} or more",
            found=f"{used.sum()}",
            fix="time=None, season=None",
        )
    series = embedding[used].astype(np.float64)
    series = (series - series.mean(time)) / series.std(time)
    if method == "patterns":
        covariance = xr.dot(embedding[used].rename(embedding="other"), series, dim=time) / used.sum()
        maps = _of_patterns(ready, covariance.transpose("embedding", "other"))
    else:
        fields = conformed_of(ready).to_dataarray().sel({time: embedding[time][used]})
        fields = fields.where(fields.notnull().any(time), np.nan)
        pairs = fields.notnull().sum(time)
        maps = (xr.dot(fields.fillna(0.0), series, dim=time) / pairs.where(pairs > 0)).drop_vars(
            "full_warmup", errors="ignore"
        )
    names = np.array([variable.name for variable in ready.model.card.variables], dtype=object)
    maps = maps.astype(np.float32).rename("component_maps").assign_coords(variable=names)
    maps = maps.transpose("embedding", "variable", ...).drop_vars("full_warmup", errors="ignore")
    maps.attrs = {"long_name": "standard deviations per standard deviation of the component", "units": "1"}
    if not standardised:
        maps = _in_units(ready, maps)
    asked = {"season": season, "method": method, "standardised": standardised or None}
    found = finish(ready, "component_maps", {"component_maps": maps}, asked)
    result = found["component_maps"]
    return result.assign_attrs(**found.attrs, method=method, **covered(embedding[time][used], season))


def _in_units(ready: Prepared, maps: xr.DataArray) -> xr.DataArray:
    """Multiply standardised maps (embedding, variable, latitude, longitude) with the spread of each variable."""
    names = [variable.name for variable in ready.model.card.variables]
    scaled = [ready.conformed.scaled[name] for name in names]
    plain = np.ones(ready.grid.shape)
    spreads = [plain if one.spread is None else one.spread / one.factor for one in scaled]
    joined = da.stack([da.asarray(spread) for spread in spreads]).astype(np.float32)  # type: ignore[no-untyped-call]
    dims = ("variable", "latitude", "longitude")
    spread = ready.conformed.labels.restore(xr.DataArray(joined, {"variable": maps["variable"]}, dims))
    spread = spread.transpose("variable", ...) if ready.lazy else spread.transpose("variable", ...).compute()
    spread.attrs = {"long_name": "standard deviation of the anomalies, in the units of the variable"}
    units = np.array([one.units for one in scaled], dtype=object)
    found = (maps * spread).assign_coords(units=("variable", units), spread=spread).astype(np.float32)
    words = "anomaly per standard deviation of the component"
    attrs = {"long_name": words} | ({"units": units[0]} if len(set(units)) == 1 else {})
    return found.transpose(*maps.dims).rename(maps.name).assign_attrs(attrs)


def _of_patterns(ready: Prepared, covariance: xr.DataArray) -> xr.DataArray:
    """Rebuild the fields of the regression of all components on one (embedding, variable, latitude, longitude)."""
    count, size = len(ready.model.card.variables), covariance.sizes["embedding"]
    shape = size, count, *ready.grid.shape
    missing = np.stack([ready.lacks_values(variable.name) for variable in ready.model.card.variables])
    task = delayed(_rebuilt)(covariance.data, ready.model, ready.grid, missing)
    values = da.from_delayed(task, shape, dtype=np.float32)  # type: ignore[no-untyped-call]
    dims = ("embedding", "variable", "latitude", "longitude")
    found: xr.DataArray = ready.conformed.labels.restore(
        xr.DataArray(values, {"embedding": covariance["embedding"]}, dims)
    )
    return found


def _rebuilt(
    covariance: NDArray[np.floating], model: Any, grid: Any, missing: NDArray[np.bool_]
) -> NDArray[np.float32]:
    import torch

    from xfaconv.nn import Geometry

    network = model.network()
    geometry = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic)
    with torch.inference_mode():
        rebuilt = network.reconstruct(torch.from_numpy(np.array(covariance, dtype=np.float32))[None], geometry)[0]
    return np.where(missing, np.float32(np.nan), rebuilt.numpy())


def name_components(embedding: xr.DataArray, indices: Mapping[str, xr.DataArray]) -> xr.DataArray:
    """Order the components of an embedding by the index that each resembles most, and say which it is.

    Parameters
    ----------
    embedding : DataArray (time, embedding)
        As `xfaconv.embed` gives it. Steps whose warm-up is incomplete do not count.
    indices : Mapping of str to DataArray (time,)
        Known indices, such as ``{"nino34": xfaconv.analysis.nino34(ds)}``, with common times.

    Returns
    -------
    DataArray (time, embedding)
        The components in falling order of the size of their largest correlation, with the coordinates ``index_name``,
        ``index_correlation`` (signed) and ``component_name`` (embedding), which `xfaconv.plot_embedding` writes.

    Raises
    ------
    ArgumentError
        If there is no index.
    TimeError
        If an index has fewer than three times in common.

    Examples
    --------
    >>> time = xr.date_range("2000-01-01", periods=40, freq="MS")
    >>> waves = np.stack([np.cos(np.arange(40.0)), np.sin(np.arange(40.0))], axis=1)
    >>> da = xr.DataArray(waves, {"time": time, "embedding": [1, 2]}, ("time", "embedding"))
    >>> name_components(da, {"mine": -da[:, 1]}).component_name.values.tolist()
    ['2: mine -1.00', '1: mine -0.02']
    """
    if not isinstance(indices, Mapping) or not indices:
        fix = "indices={'nino34': xfaconv.analysis.nino34(ds)}"
        raise ArgumentError("name_components needs indices by name", found=repr(indices)[:200], fix=fix)
    time = time_axis(embedding)
    component = next(str(dim) for dim in embedding.dims if dim != time)
    warm = embedding.coords.get("full_warmup")
    used = embedding if warm is None or not bool(warm.any()) else embedding[{time: np.flatnonzero(warm.values)}]
    found = []
    for name, index in indices.items():
        require_dimension(index, time, f"index {name!r}")
        first, second = xr.align(used, index.reset_coords(drop=True), join="inner")
        if first.sizes[time] < _FEWEST_STEPS:
            raise TimeError(
                f"index {name!r} and the embedding have no times in common",
                fix=f"indices={{{name!r}: indices[{name!r}].reindex({time}=embedding.{time}, method='nearest')}}",
            )
        found.append(correlate(second, first, dim=time).correlation.values)
    table = np.nan_to_num(np.array(found))
    best = np.abs(table).argmax(axis=0)
    largest = table[best, np.arange(table.shape[1])]
    order = np.argsort(-np.abs(largest), kind="stable")
    titles = np.array(list(indices), dtype=object)[best]
    labels = embedding[component].values
    written = [f"{label}: {title} {r:.2f}" for label, title, r in zip(labels, titles, largest, strict=True)]
    return embedding.assign_coords(
        component_name=(component, np.array(written, dtype=object)),
        index_name=(component, titles),
        index_correlation=(component, largest, {"long_name": "correlation with the index", "units": "1"}),
    ).isel({component: order})
