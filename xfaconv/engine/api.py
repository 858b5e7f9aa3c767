"""What users call: embeddings, attention, hidden states, all of them at once, and the adapted data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Unpack

import numpy as np
import xarray as xr

from xfaconv.arguments import Arguments, Place, check_arguments, shared_arguments
from xfaconv.engine.choice import has_gates, require_ability
from xfaconv.engine.graph import SegmentGraph, attention_array, embedding_array, hidden_array, importance_array
from xfaconv.engine.prepare import BasePoints, Prepared, locate, prepare
from xfaconv.engine.results import finish, labelled, provenance
from xfaconv.engine.runtime import Maps

_WAYS = {"latitude": "north", "longitude": "east"}
_READ = (
    "Weights times the norm of what each cell contributes, as shares that sum to 1 over the grid: see Kobayashi et al. "
    "2020. Not causation."
)


@shared_arguments
def embed(ds: xr.Dataset, **arguments: Unpack[Arguments]) -> xr.DataArray:
    """Embed every time step: the vector that the model's head makes of the fields up to that step.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields on a rectilinear grid. Lazy in, lazy out: nothing is computed here for dask arrays.
    **arguments
        The shared arguments of the engine.

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
    ready = prepare(ds, arguments)
    return finish(ready, "embed", {"embeddings": embedding_of(ready)})["embeddings"]


def embedding_of(ready: Prepared, source: SegmentGraph | None = None) -> xr.DataArray:
    """Embed data that are prepared, lazily and without attributes: see `embed`."""
    size = ready.model.card.network.embedding
    array = embedding_array(ready.source(needs_hidden=False) if source is None else source, size)
    return labelled(ready, "embeddings", array, {"embedding": np.arange(1, size + 1)})


def importance_of(ready: Prepared) -> xr.DataArray:
    """Say how much each variable counts in data that are prepared, by the gates: see `xfaconv.importance`."""
    require_ability(ready.model.card.network, "gates")
    array = _importance(ready.source(needs_hidden=False), ready)
    return finish(ready, "importance", {"importance": array})["importance"]


@shared_arguments
def attention(
    ds: xr.Dataset,
    latitude: float | None = None,
    longitude: float | None = None,
    *,
    base_points: Mapping[str, Place] | None = None,
    heads: bool = False,
    weigh: Literal["attention", "values"] = "attention",
    **arguments: Unpack[Arguments],
) -> xr.DataArray:
    """Map what a base point attends to: its composed axial attention at every time step.

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
    weigh : {"attention", "values"}, default "attention"
        The weights of the attention, or what is read: the weights times the norm of the vector that each cell
        contributes to the base point's state (Kobayashi et al. 2020), as shares. A cell that is attended to and holds
        next to nothing has a weight and is hardly read.
    **arguments
        The shared arguments of the engine.

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
    check_arguments(heads=heads, weigh=weigh)
    ready = prepare(ds, arguments)
    return attention_of(ready, latitude, longitude, base_points=base_points, heads=heads, weigh=weigh)


def attention_of(
    ready: Prepared,
    latitude: float | None = None,
    longitude: float | None = None,
    *,
    base_points: Mapping[str, Place] | None = None,
    heads: bool = False,
    weigh: Literal["attention", "values"] = "attention",
) -> xr.DataArray:
    """Map what a base point attends to in data that are prepared: see `attention`."""
    require_ability(ready.model.card.network, "attention")
    points = locate(ready.grid, latitude, longitude, base_points)
    maps = Maps(points.cells, heads, weigh)
    array = _attention(ready.source(needs_hidden=False, maps=maps), ready, points, maps)
    asked = {"latitude": latitude, "longitude": longitude, "base_points": base_points, "heads": heads or None}
    read = weigh == "values"
    found = finish(ready, "attention", {"attention": array}, {**asked, "weigh": weigh if read else None})["attention"]
    if read:
        found.attrs |= {"long_name": "what the base point reads by its composed axial attention", "comment": _READ}
        measured = ready.model.card.metrics.get("values_variance_in_time")
        found.attrs |= {"variance_in_time": measured} if isinstance(measured, float) else {}
    return found


@shared_arguments
def hidden(ds: xr.Dataset, **arguments: Unpack[Arguments]) -> xr.DataArray:
    """Give the hidden states of the network after its axial attention.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    **arguments
        The shared arguments of the engine.

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
    ready = prepare(ds, arguments)
    channels = ready.model.card.network.hidden
    array = hidden_array(ready.source(needs_hidden=True), channels, ready.grid.shape)
    output = labelled(ready, "hidden", array, {"channel": np.arange(1, channels + 1)})
    return finish(ready, "hidden", {"hidden": output})["hidden"]


@shared_arguments
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
        The shared arguments of the engine.

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
    ready = prepare(ds, arguments)
    spec = ready.model.card.network
    points = maps = None
    if base_points is not None:
        require_ability(spec, "attention")
        points = locate(ready.grid, None, None, base_points)
        maps = Maps(points.cells, heads)
    source = ready.source(needs_hidden=False, maps=maps)
    outputs = {"embeddings": embedding_of(ready, source)}
    if has_gates(spec):
        outputs["importance"] = _importance(source, ready)
    if points is not None and maps is not None:
        outputs["attention"] = _attention(source, ready, points, maps)
    return finish(ready, "encode", outputs, {"base_points": base_points, "heads": heads or None})


@shared_arguments
def conform(ds: xr.Dataset, **arguments: Unpack[Arguments]) -> xr.Dataset:
    """Give the data as the model reads them: its variables, grid and order, as standardised anomalies.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields.
    **arguments
        The shared arguments of the engine.

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
    ready = prepare(ds, arguments)
    whole = conformed_of(ready)
    return whole if ready.steps is None else whole.isel({ready.conformed.labels.names["time"]: ready.steps})


def conformed_of(ready: Prepared) -> xr.Dataset:
    """Give data that are prepared as the model reads them: see `conform`."""
    out = {}
    for variable in ready.model.card.variables:
        field = ready.conformed.labels.restore(ready.conformed.data[variable.name])
        field.attrs = {
            "long_name": f"standardised anomaly of {variable.long_name}",
            "units": "1",
            "units_before_standardisation": variable.units,
        }
        out[variable.name] = field
    return xr.Dataset(out, attrs=provenance(ready, "conform"))


def _importance(source: SegmentGraph, ready: Prepared) -> xr.DataArray:
    # Text of variable length is what Zarr can hold; fixed-width text is not in its specification.
    names = np.array([variable.name for variable in ready.model.card.variables], dtype=object)
    return labelled(ready, "importance", importance_array(source, len(names)), {"variable": names})


def _attention(source: SegmentGraph, ready: Prepared, points: BasePoints, maps: Maps) -> xr.DataArray:
    count = ready.model.card.network.attention_heads
    array = attention_array(source, maps, count, ready.grid.shape)
    extra = {"head": np.arange(1, count + 1)} if maps.heads else {}
    names = np.array(points.names, dtype=object)
    found = labelled(ready, "attention", array, {"base_point": names, **extra})
    attrs = {name: {"long_name": f"{name} of the cell used", "units": f"degrees_{way}"} for name, way in _WAYS.items()}
    # The user's coordinate says how the user writes the longitude of a column.
    labels = ready.conformed.labels
    written = [float(labels.longitude.values[labels.columns == column][0]) for _, column in points.cells]
    found = found.assign_coords(
        base_latitude=("base_point", list(points.latitude), attrs["latitude"]),
        base_longitude=("base_point", written, attrs["longitude"]),
    )
    return found.isel(base_point=0).drop_vars("base_point") if points.single else found
