"""What users call: embeddings, importance, attention, hidden states, all of them at once, and the conformed data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Unpack, cast

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from dask.diagnostics.progress import ProgressBar

from xfaconv.arguments import Place, check_arguments, check_choice
from xfaconv.engine.abilities import has_gates, require_attention, require_gates
from xfaconv.engine.base_points import BasePoints, locate
from xfaconv.engine.graph import SegmentGraph, attention_array, embedding_array, hidden_array, importance_array
from xfaconv.engine.prepare import Arguments, Prepared, Settings, prepare
from xfaconv.engine.provenance import attributes, describe
from xfaconv.engine.runtime import Maps

_CANONICAL = ("member", "time", "latitude", "longitude")


def embed(ds: xr.Dataset, **arguments: Unpack[Arguments]) -> xr.DataArray:
    """Embed every time step: the vector that the model's head makes of the fields up to that step.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields on a rectilinear grid. Lazy in, lazy out: nothing is computed here for dask arrays.
    **arguments
        What all functions of the engine share, see `xfaconv.engine.Arguments`: ``model``, ``regrid``, ``climatology``,
        ``absent``, ``missing``, ``mode``, ``device``, ``variables``, ``progress``.

    Returns
    -------
    DataArray ([member,] time, embedding), float32
        Dimensionless, named ``embeddings``. The coordinate ``full_warmup (time)`` is False at steps whose warm-up
        reaches beyond the data.

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used; the message names what and says the fix.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> xfaconv.embed(ds).dims
    ('time', 'embedding')
    """
    ready = prepare(ds, Settings.of(arguments))
    array = _embedding(ready.source(needs_hidden=False), ready)
    return _finish(ready, "embed", {"embeddings": array}, ds, arguments)["embeddings"]


def importance(ds: xr.Dataset, *, method: str = "gate", **arguments: Unpack[Arguments]) -> xr.DataArray:
    """Say how much each variable counts at every time step, by the squeeze-excitation gates.

    The gates act on mixtures of variables behind the bottleneck; they are mapped back through the input weights.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    method : {"gate"}
        How importance is measured.
    **arguments
        See `embed`.

    Returns
    -------
    DataArray ([member,] time, variable), float32
        Dimensionless, non-negative, summing to 1 over the variables.

    Raises
    ------
    ModelError
        If the network has no gates.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> two_months = xfaconv.importance(ds.isel(time=slice(0, 2)))
    >>> round(float(two_months.isel(time=0).sum()), 4)
    1.0
    """
    check_choice("method", method, ("gate",))
    ready = prepare(ds, Settings.of(arguments, importance))
    require_gates(ready.model.card.network)
    array = _importance(ready.source(needs_hidden=False), ready)
    return _finish(ready, "importance", {"importance": array}, ds, arguments)["importance"]


def attention(
    ds: xr.Dataset,
    latitude: float | None = None,
    longitude: float | None = None,
    *,
    base_points: Mapping[str, Place] | None = None,
    heads: bool = False,
    **arguments: Unpack[Arguments],
) -> xr.DataArray:
    """Map where a base point looks: its composed axial attention at every time step.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    latitude, longitude : float, optional
        One base point [degrees north, degrees east], in either longitude convention.
    base_points : Mapping of str to (float, float), optional
        Several, by name, as (latitude, longitude).
    heads : bool, default False
        Keep the heads apart instead of averaging them.
    **arguments
        See `embed`.

    Returns
    -------
    DataArray ([member,] [base_point,] time, [head,] latitude, longitude), float32
        Shares of attention on the model's grid, each map summing to 1. ``base_latitude`` and ``base_longitude`` are the
        centre of the cell that was used.

    Raises
    ------
    ArgumentError
        If a base point is malformed or outside the domain.
    ModelError
        If the network has no axial attention.
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> maps = xfaconv.attention(ds, latitude=0, longitude=-140)
    >>> maps.dims, float(maps.base_longitude)
    (('time', 'lat', 'lon'), 220.0)
    """
    check_arguments(heads=heads)
    ready = prepare(ds, Settings.of(arguments, attention))
    require_attention(ready.model.card.network)
    points = locate(ready.conformed.grid, latitude, longitude, base_points)
    maps = Maps(points.cells, heads)
    array = _attention(ready.source(needs_hidden=False, maps=maps), ready, points, maps)
    asked = {"latitude": latitude, "longitude": longitude, "base_points": base_points, "heads": heads or None}
    return _finish(ready, "attention", {"attention": array}, ds, arguments, asked)["attention"]


def hidden(ds: xr.Dataset, **arguments: Unpack[Arguments]) -> xr.DataArray:
    """Give the hidden states of the network after its axial attention.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    **arguments
        See `embed`.

    Returns
    -------
    DataArray ([member,] time, channel, latitude, longitude), float32
        Dimensionless, on the model's grid. As large as the input times channels over variables.

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> xfaconv.hidden(ds).dims
    ('time', 'channel', 'lat', 'lon')
    """
    ready = prepare(ds, Settings.of(arguments))
    source = ready.source(needs_hidden=True)
    array = hidden_array(source, ready.model.card.network.hidden, ready.conformed.grid.shape)
    output = _labelled(ready, "hidden", array, {"channel": np.arange(1, ready.model.card.network.hidden + 1)})
    return _finish(ready, "hidden", {"hidden": output}, ds, arguments)["hidden"]


def encode(
    ds: xr.Dataset,
    *,
    base_points: Mapping[str, Place] | None = None,
    heads: bool = False,
    **arguments: Unpack[Arguments],
) -> xr.Dataset:
    """Give embeddings, importance and attention in one pass over the data.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    base_points : Mapping of str to (float, float), optional
        Base points by name, as (latitude, longitude); without them there are no attention maps.
    heads : bool, default False
        Keep the heads of the attention apart.
    **arguments
        See `embed`.

    Returns
    -------
    Dataset
        ``embeddings``, ``importance`` (where the network has gates) and ``attention`` (where base points are given).

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> list(xfaconv.encode(ds, base_points={"nino34": (0, -140)}))
    ['embeddings', 'importance', 'attention']
    """
    check_arguments(heads=heads)
    ready = prepare(ds, Settings.of(arguments, encode))
    spec = ready.model.card.network
    points = maps = None
    if base_points is not None:
        require_attention(spec)
        points = locate(ready.conformed.grid, None, None, base_points)
        maps = Maps(points.cells, heads)
    source = ready.source(needs_hidden=False, maps=maps)
    outputs = {"embeddings": _embedding(source, ready)}
    if has_gates(spec):
        outputs["importance"] = _importance(source, ready)
    if points is not None and maps is not None:
        outputs["attention"] = _attention(source, ready, points, maps)
    return _finish(ready, "encode", outputs, ds, arguments, {"base_points": base_points, "heads": heads or None})


def conform(ds: xr.Dataset, **arguments: Unpack[Arguments]) -> xr.Dataset:
    """Give the data as the model reads them: its variables, grid and order, as standardised anomalies.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    **arguments
        See `embed`.

    Returns
    -------
    Dataset
        One float32 variable per variable of the model ([member,] time, latitude, longitude), labelled as `ds` is; NaN
        where missing.

    Raises
    ------
    XFaconvError
        If the data or an argument cannot be used.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    >>> list(xfaconv.conform(ds, model="ncep-monthly-2p5deg"))
    ['sst', 'z500', 'z200', 'v200', 't995']
    """
    ready = prepare(ds, Settings.of(arguments))
    shared = _described(ready, "conform", ds, arguments, {})
    out = {}
    for variable in ready.model.card.variables:
        field = ready.conformed.labels.restore(ready.conformed.data[variable.name])
        field.attrs = {
            "long_name": f"standardised anomaly of {variable.long_name}",
            "units": "1",
            "units_before_standardisation": variable.units,
        }
        out[variable.name] = field
    return xr.Dataset(out, attrs=shared)


def _embedding(source: SegmentGraph, ready: Prepared) -> xr.DataArray:
    size = ready.model.card.network.embedding
    return _labelled(ready, "embeddings", embedding_array(source, size), {"embedding": np.arange(1, size + 1)})


def _importance(source: SegmentGraph, ready: Prepared) -> xr.DataArray:
    # Text of variable length is what Zarr can hold; fixed-width text is not in its specification.
    names = np.array([variable.name for variable in ready.model.card.variables], dtype=object)
    return _labelled(ready, "importance", importance_array(source, len(names)), {"variable": names})


def _attention(source: SegmentGraph, ready: Prepared, points: BasePoints, maps: Maps) -> xr.DataArray:
    count = ready.model.card.network.attention_heads
    array = attention_array(source, maps, count, ready.conformed.grid.shape)
    extra = {"head": np.arange(1, count + 1)} if maps.heads else {}
    names = np.array(points.names, dtype=object)
    found = _labelled(ready, "attention", array, {"base_point": names, **extra})
    latitude = (
        "base_point",
        list(points.latitude),
        {"long_name": "latitude of the cell used", "units": "degrees_north"},
    )
    # The user's coordinate says how the user writes the longitude of a column.
    labels = ready.conformed.labels
    written = [float(labels.longitude.values[labels.columns == column][0]) for _, column in points.cells]
    longitude = ("base_point", written, {"long_name": "longitude of the cell used", "units": "degrees_east"})
    found = found.assign_coords(base_latitude=latitude, base_longitude=longitude)
    return found.isel(base_point=0).drop_vars("base_point") if points.single else found


def _labelled(
    ready: Prepared, kind: str, array: da.Array, extra: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]
) -> xr.DataArray:
    """Name the axes in the engine's order, then give them the user's labels."""
    order = {
        "embeddings": ("member", "time", "embedding"),
        "importance": ("member", "time", "variable"),
        "attention": ("member", "base_point", "time", "head", "latitude", "longitude"),
        "hidden": ("member", "time", "channel", "latitude", "longitude"),
    }[kind]
    known = {"time", "latitude", "longitude", *extra} | ({"member"} if ready.members is not None else set())
    dims = [name for name in order if name in known]
    data = ready.conformed.data
    coords: dict[str, Any] = {name: data[name] for name in _CANONICAL if name in dims and name in data.coords}
    coords |= {name: (name, values) for name, values in extra.items()}
    coords["full_warmup"] = (
        "time",
        ready.pieces.full_warmup,
        {"long_name": "whether the whole warm-up of the state lies inside the data"},
    )
    restored: xr.DataArray = ready.conformed.labels.restore(xr.DataArray(array, coords, dims, name=kind))
    return restored


def _finish(
    ready: Prepared,
    call: str,
    outputs: Mapping[str, xr.DataArray],
    ds: xr.Dataset,
    arguments: Arguments,
    asked: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Attach the attributes, and compute at once where the input was in memory."""
    shared = _described(ready, call, ds, arguments, asked or {})
    for kind, output in outputs.items():
        output.attrs = attributes(kind, shared, ready.model.card.metrics)
    result = xr.Dataset(dict(outputs), attrs={**shared, "Conventions": "CF-1.11"})
    if ready.lazy:
        return result
    with ProgressBar() if ready.settings.progress else nullcontext():  # type: ignore[no-untyped-call]
        (computed,) = compute(result, scheduler="synchronous")  # type: ignore[no-untyped-call]
    return cast("xr.Dataset", computed)


def _described(
    ready: Prepared, call: str, ds: xr.Dataset, arguments: Arguments, asked: Mapping[str, Any]
) -> dict[str, Any]:
    typed = [f"{name}={value!r}" for name, value in asked.items() if value is not None]
    typed += filter(None, [Settings.of(arguments).described()])
    history = ds.attrs.get("history")
    return describe(
        call=f"{call}({', '.join(typed)})",
        card=ready.model.card,
        chosen=ready.choice.reason,
        grid=ready.conformed.grid,
        pieces=ready.pieces,
        missing=str(ready.settings.missing),
        normalisation=ready.normalisation,
        steps=ready.conformed.steps,
        history=str(history) if history else None,
    )
