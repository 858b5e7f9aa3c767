"""Importance of each variable to the network, by methods that are chosen by name: gates, occlusion, gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import cell_area, check_arrays, time_axis
from xfaconv.analysis.explanation.network_probe import (
    Probe,
    Target,
    Windows,
    find_target,
    gradients,
    over_windows,
    windows_of,
)
from xfaconv.analysis.statistics.seasons import Season, season_name, spread_evenly, steps_of_season
from xfaconv.arguments import Arguments, Box, Place, as_box, check_choice, shared_arguments
from xfaconv.engine.api import importance_of
from xfaconv.engine.cost import GRADIENT_RUNS
from xfaconv.engine.prepare import Prepared, prepare
from xfaconv.errors import ArgumentError

if TYPE_CHECKING:
    from xfaconv.models import Model

# What the cards of the packaged models hold.
CARD_METHODS = ("gate", "occlusion", "gradient")
_GATE_COMMENT = (
    "what the squeeze-excitation gates let through, mapped back to the variables through the input weights: not what "
    "changes when a variable is gone; compare with method='occlusion' before speaking of drivers"
)


@dataclass(frozen=True, eq=False)
class ImportanceRequest:
    """What `importance` was asked for, as a method gets it.

    Parameters
    ----------
    ds : Dataset
        The user's data.
    base_point : (latitude, longitude) or None
        The place that is asked about [degrees].
    region : (south, north, west, east) or None
        The box that is asked about [degrees].
    forecast : (variable, lead) or None
        The forecast there that is asked about instead of the state.
    samples : int or None
        Number of times.
    season : str, sequence of int, or None
        Season of those times.
    arguments : Arguments
        Of `xfaconv.embed`.
    """

    ds: xr.Dataset
    base_point: Place | None
    region: Box | None
    forecast: tuple[str, int] | None
    samples: int | None
    season: Season
    arguments: Arguments

    @cached_property
    def ready(self) -> Prepared:
        """The data as the model reads them."""
        return prepare(self.ds, self.arguments)

    @property
    def of_place(self) -> bool:
        """Whether a base point or a region is asked about, and not the embedding."""
        return self.base_point is not None or self.region is not None

    @cached_property
    def windows(self) -> Windows:
        """Input windows at the times that are asked about."""
        return windows_of(self.ready, self.base_point, samples=self.samples, season=self.season)

    @cached_property
    def target(self) -> Target:
        """The output that is asked about."""
        if self.forecast is not None:
            if not self.of_place:
                fix = "base_point=(0, -140)"
                raise ArgumentError("a forecast is one of a place", fix=fix)
            found = find_target(self.ready.model, self.forecast)
            if self.base_point is not None:
                self.ready.require_values(self.forecast[0], self.windows.cell)
            return found
        return Target("hidden" if self.of_place else "embedding")

    @cached_property
    def where(self) -> NDArray[np.float32] | None:
        """Weights of the cells that are asked about (latitude, longitude), summing to 1; None for the embedding."""
        if not self.of_place:
            return None
        weights = np.zeros(self.ready.grid.shape)
        if self.region is None:
            weights[self.windows.cell] = 1
        else:
            weights = cell_area(self.windows.fields, self.region, cells="centres").values
        if not weights.any():
            problem = "no cell of the model's grid has its centre in the region"
            # Wider by a cell, it holds a centre wherever it lies on the grid.
            rows, columns = (
                float(np.diff(axis).max()) for axis in (self.ready.grid.latitude, self.ready.grid.longitude)
            )
            south, north, west, east = self.region or (0.0, 0.0, 0.0, 0.0)
            wider = max(south - rows, -90.0), min(north + rows, 90.0), west - columns, east + columns
            fix = f"region=({', '.join(f'{edge:g}' for edge in wider)})"
            raise ArgumentError(problem, found=repr(self.region), fix=fix)
        return np.asarray(weights / weights.sum(), dtype=np.float32)

    def shares(self, sizes: xr.DataArray, runs: int = 1) -> xr.DataArray:
        """Divide non-negative sizes (time, variable) of the windows by their sum, labelled as the data are.

        Parameters
        ----------
        sizes : DataArray (time, variable)
            Measured in `windows`.
        runs : int, default 1
            Runs of the network in each window, for what is said beforehand of a long call.

        Returns
        -------
        DataArray (time, variable), float32
            Computed where the data are in memory.
        """
        total = sizes.sum("variable")
        out = (sizes / total.where(total > 0)).astype(np.float32).rename("importance")
        model = self.ready.model
        out.attrs = {"model": model.card.name, "weights_sha256": model.sha256}
        return self.windows.finished(out.to_dataset(), "importance", runs)["importance"]


Method = Callable[[ImportanceRequest], xr.DataArray]
_METHODS: dict[str, Method] = {}


def register_importance(name: str) -> Callable[[Method], Method]:
    """Make a function a method of `xfaconv.importance`, by a name of its own.

    Parameters
    ----------
    name : str
        What users write as ``method=``. A name that is known already is replaced.

    Returns
    -------
    callable
        Decorator of a function that takes an `ImportanceRequest` and gives a DataArray (time, variable), non-negative
        and summing to 1 over the variables, as `ImportanceRequest.shares` makes it.

    Examples
    --------
    >>> @register_importance("mean-square")
    ... def of_variance(request):
    ...     fields = request.windows.fields.fillna(0)
    ...     return request.shares((fields**2).mean(["step", "latitude", "longitude"]))
    >>> "mean-square" in importance_methods()
    True
    >>> del _METHODS["mean-square"]
    """

    def register(function: Method) -> Method:
        _METHODS[name] = function
        return function

    return register


def importance_methods() -> tuple[str, ...]:
    """Names of the methods of `xfaconv.importance`, in the order in which they were registered.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> {"gate", "occlusion", "gradient"} <= set(importance_methods())
    True
    """
    return tuple(_METHODS)


@register_importance("gate")
def _by_gates(request: ImportanceRequest) -> xr.DataArray:
    """Take the gates of the engine, at every step unless samples are asked for."""
    if request.of_place or request.forecast is not None:
        problem = "gates are the same everywhere: they know no place and no forecast"
        raise ArgumentError(problem, fix="method='occlusion'")
    found = importance_of(request.ready)
    time = time_axis(found)
    chosen = np.flatnonzero(steps_of_season(found[time], request.season))
    found = found.isel({time: spread_evenly(chosen, request.samples)})
    return found.assign_attrs(of="all outputs", comment=_GATE_COMMENT)


@register_importance("occlusion")
def _by_occlusion(request: ImportanceRequest) -> xr.DataArray:
    """Relative change of the answer when one variable is left out of the whole window."""
    measure, target, where = Probe.without_variables, request.target, request.where
    sizes = over_windows(request.windows, measure, ["variable"], target=target, where=where)
    return request.shares(sizes, 1 + sizes.sizes["variable"])


@register_importance("gradient")
def _by_gradient(request: ImportanceRequest) -> xr.DataArray:
    """Size of gradient times input, the first-order effect of removing it; squares keep signs from cancelling."""
    slope = gradients(request.windows, request.target, request.where).astype(np.float64)
    effect = slope * request.windows.fields.fillna(0)
    return request.shares((effect**2).sum(["step", "latitude", "longitude"]) ** 0.5, GRADIENT_RUNS)


@shared_arguments
def importance(
    ds: xr.Dataset,
    *,
    method: str = "gate",
    base_point: Place | None = None,
    region: Box | None = None,
    target: tuple[str, int] | None = None,
    samples: int | None = None,
    season: Season = None,
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
    method : {"gate", "occlusion", "gradient"} or str
        The gates; the relative change of the answer when the variable is replaced by its climatology throughout the
        window; the size of the gradient times the input, over the window; or a method of `register_importance`. The
        replaced variable is not marked as missing: the mark would have an effect of its own. What a model makes of a
        record that lacks a variable is another question, and `xfaconv.embed` of that record answers it.
    base_point : (latitude, longitude), optional
        Ask about the state of this place instead of the embedding; not with ``"gate"``.
    region : (south, north, west, east), optional
        Ask about the states of the cells whose centres are inside, by area; not with ``"gate"``.
    target : (variable, lead), optional
        Ask about this forecast there, such as ``("z500", 1)``, instead of the state. A state holds all that the network
        reads, a variable that nothing follows from included; a forecast holds what follows.
    samples : int, optional
        Number of times, spread evenly. Default: every step for ``"gate"``, the last step of each of the model's
        segments (or each step of ``time``) for the others, each of which costs one run of a window per variable (one
        backward pass).
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
    check_choice("method", method, importance_methods())
    if base_point is not None and region is not None:
        raise ArgumentError("both a base point and a region are given", expected="one of them", fix="region=None")
    box = None if region is None else as_box(region)
    request = ImportanceRequest(ds, base_point, box, target, samples, season, arguments)
    found = _METHODS[method](request)
    what = "state" if target is None else f"forecast of {target[0]} at lead {target[1]}"
    place = f"{what} of the base point {base_point}" if base_point is not None else f"{what}s of the region {region}"
    given = {
        "long_name": f"importance of the variable by {method}",
        "units": "1",
        "of": place if request.of_place else "embedding",
    }
    return found.assign_attrs({**given, **found.attrs, "method": method, "season": season_name(season)})


def importance_agreement(*importances: xr.DataArray) -> xr.DataArray:
    """Rank correlation between the mean importances of several methods.

    Parameters
    ----------
    *importances : DataArray (time, variable)
        Two or more, as `importance` gives them.

    Returns
    -------
    DataArray (one_method, other_method)
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
    return xr.DataArray(
        table, {"one_method": names, "other_method": names}, ("one_method", "other_method"), "rank_correlation"
    )


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
    found = [importance(ds, method=method, samples=samples, model=model).compute() for method in CARD_METHODS]
    table = importance_agreement(*found)
    out: dict[str, Any] = {"samples": samples}
    for method, values in zip(CARD_METHODS, found, strict=True):
        mean = values.mean(time_axis(values)).to_series()
        out[method] = {str(name): round(float(share), 3) for name, share in mean.items()}
    out["rank_correlation"] = {
        f"{one} and {other}": round(float(table.sel(one_method=one, other_method=other)), 2)
        for one, other in combinations(CARD_METHODS, 2)
    }
    return out
