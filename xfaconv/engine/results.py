"""Labels and attributes of results: the user's axes, how they were made, and what a long call says beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, cast

import dask.array as da
import numpy as np
import xarray as xr
from dask.diagnostics.progress import ProgressBar

from xfaconv.arguments import DEFAULTS
from xfaconv.engine.cost import announce, seconds_for
from xfaconv.engine.guards import resolve_device
from xfaconv.engine.prepare import Prepared
from xfaconv.errors import warn_user
from xfaconv.models import Model
from xfaconv.options import get_options

# Hidden states of the segments that run side by side where data are in memory.
_SIDE_BY_SIDE_BYTES = 2**31
_CANONICAL = ("member", "time", "latitude", "longitude")
_ORDER: Mapping[str, tuple[str, ...]] = {
    "embeddings": ("member", "time", "embedding"),
    "importance": ("member", "time", "variable"),
    "attention": ("member", "base_point", "time", "head", "latitude", "longitude"),
    "hidden": ("member", "time", "channel", "latitude", "longitude"),
    "prediction": ("member", "lead", "time", "latitude", "longitude"),
}
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


def labelled(
    ready: Prepared, kind: str, array: da.Array, extra: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]]
) -> xr.DataArray:
    """Name the axes in the engine's order, then give them the user's labels.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    kind : {"embeddings", "importance", "attention", "hidden", "prediction"}
        What the array holds, which decides its axes.
    array : dask array
        Its axes are those of the kind that the data and `extra` have.
    extra : Mapping of str to sequence
        Values of the axes that the data do not have.

    Returns
    -------
    DataArray
    """
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


def finish(
    ready: Prepared, call: str, outputs: Mapping[str, xr.DataArray], asked: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """Attach the attributes, and compute at once where the input was in memory.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    call : str
        Name of the function.
    outputs : Mapping of str to DataArray
        Lazy results; those with attributes of their own keep them.
    asked : Mapping of str to object, optional
        Arguments of the call other than the shared ones.

    Returns
    -------
    Dataset
    """
    shared = provenance(ready, call, asked)
    for kind, output in outputs.items():
        # The share of the variance of its maps that is in time belongs to what is said of attention.
        in_time = ready.model.card.metrics.get("attention_variance_in_time") if kind == "attention" else None
        measured = {"variance_in_time": in_time} if isinstance(in_time, float) else {}
        if kind in _ATTRIBUTES:
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
        return result.compute(**_workers(ready, runs))


def _workers(ready: Prepared, runs: int) -> dict[str, Any]:
    """Choose dask's scheduler for data in memory.

    Segments side by side, each with one thread, use the cores better than threads inside a segment: these wait for each
    other after every operator (a second core is worth 1.2 in a segment, and a busy one makes both slow).
    """
    import torch

    room = max(1, _SIDE_BY_SIDE_BYTES // max(ready.hidden_bytes, 1))
    workers = min(runs, torch.get_num_threads(), room)
    alone = workers < 2 or get_options()["threads"] is not None or ready.settings["mode"] == "stateful"
    on_device = resolve_device(ready.settings["device"] or "cpu") != "cpu"
    return {"scheduler": "synchronous"} if alone or on_device else {"scheduler": "threads", "num_workers": workers}


def provenance(ready: Prepared, call: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Say how a result was made, in text and whole numbers that survive NetCDF and Zarr.

    Parameters
    ----------
    ready : Prepared
        The data and the model.
    call : str
        Name of the function.
    asked : Mapping of str to object, optional
        Arguments of the call other than the shared ones.

    Returns
    -------
    dict
    """
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
