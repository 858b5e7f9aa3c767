"""What users call: embeddings, attention, hidden states, all of them at once, and the adapted data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, Literal, Unpack, cast

import dask.array as da
import numpy as np
import xarray as xr
from dask.diagnostics.progress import ProgressBar

from xfaconv.arguments import DEFAULTS, Arguments, Place, check_arguments, shared_arguments
from xfaconv.engine.choice import has_gates, require_ability
from xfaconv.engine.cost import announce, seconds_for
from xfaconv.engine.graph import SegmentGraph, attention_array, embedding_array, hidden_array, importance_array
from xfaconv.engine.prepare import BasePoints, Prepared, locate, prepare
from xfaconv.engine.runtime import Maps
from xfaconv.errors import warn_user
from xfaconv.models import Model

_WAYS = {"latitude": "north", "longitude": "east"}
_CANONICAL = ("member", "time", "latitude", "longitude")
_ORDER: Mapping[str, tuple[str, ...]] = {
    "embeddings": ("member", "time", "embedding"),
    "importance": ("member", "time", "variable"),
    "attention": ("member", "base_point", "time", "head", "latitude", "longitude"),
    "hidden": ("member", "time", "channel", "latitude", "longitude"),
}
_READ = (
    "Weights times the norm of what each cell contributes, as shares that sum to 1 over the grid: see Kobayashi et al. "
    "2020. Not causation."
)
_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "embeddings": {"long_name": "embedding of the fields up to this time", "units": "1"},
    "importance": {
        "long_name": "importance of the variable: squeeze-excitation gates mapped back through the input weights",
        "units": "1",
        "comment": "Non-negative and summing to 1 over the variables. Gates act on mixtures of variables: compare with "
        "occlusion before drawing conclusions.",
    },
    "attention": {
        "long_name": "composed axial attention of the base point",
        "units": "1",
        "comment": "Share of the attention that the base point pays to each cell; every map sums to 1 over the grid. "
        "Attention is not causation.",
    },
    "hidden": {"long_name": "hidden state after the axial attention", "units": "1"},
}


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
    array = _embedding(ready.source(needs_hidden=False), ready)
    return _finish(ready, "embed", {"embeddings": array})["embeddings"]


def importance_of(ready: Prepared) -> xr.DataArray:
    """Say how much each variable counts in data that are prepared, by the gates: see `xfaconv.importance`."""
    require_ability(ready.model.card.network, "gates")
    array = _importance(ready.source(needs_hidden=False), ready)
    return _finish(ready, "importance", {"importance": array})["importance"]


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
    found = _finish(ready, "attention", {"attention": array}, {**asked, "weigh": weigh if read else None})["attention"]
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
    output = _labelled(ready, "hidden", array, {"channel": np.arange(1, channels + 1)})
    return _finish(ready, "hidden", {"hidden": output})["hidden"]


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
    outputs = {"embeddings": _embedding(source, ready)}
    if has_gates(spec):
        outputs["importance"] = _importance(source, ready)
    if points is not None and maps is not None:
        outputs["attention"] = _attention(source, ready, points, maps)
    return _finish(ready, "encode", outputs, {"base_points": base_points, "heads": heads or None})


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
    return xr.Dataset(out, attrs=_provenance(ready, "conform"))


def _embedding(source: SegmentGraph, ready: Prepared) -> xr.DataArray:
    size = ready.model.card.network.embedding
    return _labelled(ready, "embeddings", embedding_array(source, size), {"embedding": np.arange(1, size + 1)})


def _importance(source: SegmentGraph, ready: Prepared) -> xr.DataArray:
    # Text of variable length is what Zarr can hold; fixed-width text is not in its specification.
    names = np.array([variable.name for variable in ready.model.card.variables], dtype=object)
    return _labelled(ready, "importance", importance_array(source, len(names)), {"variable": names})


def _attention(source: SegmentGraph, ready: Prepared, points: BasePoints, maps: Maps) -> xr.DataArray:
    count = ready.model.card.network.attention_heads
    array = attention_array(source, maps, count, ready.grid.shape)
    extra = {"head": np.arange(1, count + 1)} if maps.heads else {}
    names = np.array(points.names, dtype=object)
    found = _labelled(ready, "attention", array, {"base_point": names, **extra})
    attrs = {name: {"long_name": f"{name} of the cell used", "units": f"degrees_{way}"} for name, way in _WAYS.items()}
    # The user's coordinate says how the user writes the longitude of a column.
    labels = ready.conformed.labels
    written = [float(labels.longitude.values[labels.columns == column][0]) for _, column in points.cells]
    found = found.assign_coords(
        base_latitude=("base_point", list(points.latitude), attrs["latitude"]),
        base_longitude=("base_point", written, attrs["longitude"]),
    )
    return found.isel(base_point=0).drop_vars("base_point") if points.single else found


def _labelled(
    ready: Prepared, kind: str, array: da.Array, extra: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]
) -> xr.DataArray:
    """Name the axes in the engine's order, then give them the user's labels."""
    known = {"time", "latitude", "longitude", *extra} | ({"member"} if ready.members is not None else set())
    dims = [name for name in _ORDER[kind] if name in known]
    data = ready.conformed.data
    data = data if ready.steps is None else data.isel(time=ready.steps)
    coords: dict[str, Any] = {name: data[name] for name in _CANONICAL if name in dims and name in data.coords}
    coords |= {name: (name, values) for name, values in extra.items()}
    described = {"long_name": "whether the whole warm-up of the state lies inside the data"}
    warm = ready.segments.full_warmup
    coords["full_warmup"] = ("time", warm if ready.steps is None else warm[ready.steps], described)
    restored: xr.DataArray = ready.conformed.labels.restore(xr.DataArray(array, coords, dims, name=kind))
    return restored


def _finish(
    ready: Prepared, call: str, outputs: Mapping[str, xr.DataArray], asked: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Attach the attributes, and compute at once where the input was in memory."""
    shared = _provenance(ready, call, asked)
    for kind, output in outputs.items():
        # The share of the variance of its maps that is in time belongs to what is said of attention.
        in_time = ready.model.card.metrics.get("attention_variance_in_time") if kind == "attention" else None
        measured = {"variance_in_time": in_time} if isinstance(in_time, float) else {}
        output.attrs = {**_ATTRIBUTES[kind], **measured, **shared}
    result = xr.Dataset(dict(outputs), attrs={**shared, "Conventions": "CF-1.11"})
    if ready.cold is not None:
        words = ready.cold
        warn_user(f"{words.problem}: {words.found}; {words.fix}")
    if ready.lazy:
        return result
    runs = ready.segments.holding(ready.steps)
    members = ready.members or 1
    return in_memory(
        ready, result, call, int(runs.sum()) * members, int(ready.segments.steps_read[runs].sum()) * members
    )


def in_memory(ready: Prepared, result: xr.Dataset, call: str, runs: int, steps: int) -> xr.Dataset:
    """Compute a result of data in memory; say beforehand what a long call takes, and show how far it is if asked to.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    result : Dataset
        Lazy.
    call : str
        Name of the function.
    runs, steps : int
        Runs of the network, and the steps of all of them.

    Returns
    -------
    Dataset
    """
    shown = bool(ready.settings["progress"])
    seconds = seconds_for(ready.model.card.network, ready.grid.shape, steps)
    announce(call, f"{runs:,} runs of the network over {steps:,} steps in all", seconds, shown=shown)
    with ProgressBar() if shown else nullcontext():  # type: ignore[no-untyped-call]
        return result.compute(scheduler="synchronous")


def _provenance(ready: Prepared, call: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Say how a result was made, in text and whole numbers that survive NetCDF and Zarr."""
    from xfaconv import __version__

    card, used = ready.model.card, ready.settings["climatology"]
    owner = {"model": f"climatology of {card.name}", "data": "climatology of the data"}
    normalisation = owner[used] if isinstance(used, str) else "climatology given by the caller"
    typed = [f"{name}={value!r}" for name, value in (asked or {}).items() if value is not None]
    history = ready.conformed.survey.ds.attrs.get("history")
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} xfaconv {__version__}: {call}({', '.join(typed + _typed(ready))})"
    return {
        "package": "xfaconv",
        "version": __version__,
        "model": card.name,
        "model_choice": ready.choice.reason,
        "model_source": card.source,
        "weights_sha256": card.weights_sha256,
        "grid": ready.grid.describe(),
        "periodic": "yes" if ready.grid.periodic else "no",
        "step": card.step,
        "segment": ready.segments.length,
        "warmup": ready.segments.warmup,
        # Not "mode": scipy's writer of NetCDF files has an attribute of its own by that name.
        "run_mode": ready.segments.mode,
        "missing_values": str(ready.settings["missing"]),
        "normalisation": f"standardised anomalies from the {normalisation}",
        "processing": "; ".join(ready.conformed.notes),
        "history": f"{history}\n{line}" if history else line,
    }


def _typed(ready: Prepared) -> list[str]:
    """Give the shared arguments that differ from their defaults, as they would be typed."""
    parts = []
    for name, default in DEFAULTS.items():
        value = cast("Mapping[str, Any]", ready.given).get(name, default)
        value = value.card.name if isinstance(value, Model) else value
        if isinstance(value, xr.Dataset):
            parts.append(f"{name}=<Dataset>")
        elif name == "time" and value is not None:
            parts.append(f"time={value!r}" if isinstance(value, str | slice) else "time=<dates>")
        elif name != "progress" and value != default:
            parts.append(f"{name}={value!r}")
    return parts
