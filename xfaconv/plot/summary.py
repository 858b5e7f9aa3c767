"""One figure of a teleconnection: where it comes from, what correlates, the verified series, and sums by region."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import Any, Literal, cast

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.ticker import MaxNLocator

from xfaconv.errors import ArgumentError
from xfaconv.names import region_title
from xfaconv.plot.coordinates import canonical, time_dimension
from xfaconv.plot.labels import units_text
from xfaconv.plot.maps import draw_map
from xfaconv.plot.overlays import add_outline
from xfaconv.plot.projections import central_longitude, resolve
from xfaconv.plot.style import CATEGORICAL, FAINT, INK, NEGATIVE, POSITIVE, MapStyle

_NEEDED = ("attribution", "correlation_map", "predicted", "observed", "by_region")
_COLOURS = {"network": CATEGORICAL[0], "linear": CATEGORICAL[1], "index": CATEGORICAL[2]}
_SAID = {"network": "network", "linear": "linear answer", "index": "regression on the index"}
_LETTERS = 180
MODELS = CATEGORICAL[4]
_CAPTION = (
    "Outlines: black what is hidden, purple the target; dots: significant at the false discovery rate of the maps."
)
# Distance of the whiskers of several models from the bar or the point that they belong to.
_BESIDE = 0.38
_MOST_MARKS, _MOST_TICKS, _MOST_OF_BAR = 240, 14, 5


def plot_teleconnection(
    teleconnection: xr.Dataset,
    *,
    phase: str = "difference",
    correlated: str | None = None,
    lag: int = 0,
    projection: Any = None,
    title: str | None = None,
    figsize: tuple[float, float] = (11.0, 10.0),
) -> Any:
    """Draw the contributions, the correlation map, the verified series and the sums by region in one figure.

    Parameters
    ----------
    teleconnection : Dataset
        From `xfaconv.teleconnection`.
    phase : str, default "difference"
        Phase of the contributions: one of ``teleconnection.phase``.
    correlated : str, optional
        Variable of the correlation map. Default: the one that contributes most.
    lag : int, default 0
        Steps by which that variable comes before the target, one of ``teleconnection.lag``.
    projection : str or cartopy.crs.CRS, optional
        Of both maps; by default what suits the domain.
    title : str, optional
        Above the figure.
    figsize : (float, float)
        Width and height [inch].

    Returns
    -------
    Figure
        Two maps, with the hidden area outlined and dots where the map is significant; the series, with the steps that
        were not used in training shaded; the correlation of each prediction with its interval; and the sums by region
        with theirs. Of several models the mean and the range stand below.

    Raises
    ------
    ArgumentError
        If the Dataset is not a teleconnection, or has no such phase, variable or lag.

    Examples
    --------
    >>> figure = plot_teleconnection(xfaconv.teleconnection(ds, ...))  # doctest: +SKIP
    """
    _check(teleconnection, phase, correlated, lag)
    found = teleconnection.compute()
    figure = plt.figure(figsize=figsize, layout="constrained")
    # Each row has its own margins, so that long labels of one do not make the maps of another small.
    maps, series, below = cast("Any", figure.subfigures(3, 1, height_ratios=(1.5, 1, 0.8)))
    parts = found["attribution"].sel(phase=phase)
    total = parts.sum("variable").assign_attrs(parts.attrs)
    sizes = abs(parts).sum(list(total.dims))
    strongest = str(sizes["variable"].values[int(sizes.values.argmax())])
    _, grid = canonical(total)
    middle = float(_middle(found["target"])) if "target" in found.coords else None
    chosen = resolve(projection, grid, central_longitude(grid, middle), None)
    left, right = maps.subplots(1, 2, subplot_kw={"projection": chosen})
    units = units_text(found.attrs["units"])
    about = MapStyle(center=0.0, projection=projection, title="")
    bar = {"label": f"contribution per cell [{units}]", "ticks": MaxNLocator(_MOST_OF_BAR)}
    dots: xr.DataArray | Literal[False] = found["significant"] if phase == "difference" else False
    draw_map(_plain(total), replace(about, ax=left, stippling=dots, cbar_kwargs=bar, robust=True))
    name = strongest if correlated is None else correlated
    chosen_map = found[["correlation_map", "correlation_significant"]].sel(variable=name, lag=lag)
    dots = chosen_map["correlation_significant"]
    bar = {"label": "correlation", "ticks": MaxNLocator(_MOST_OF_BAR)}
    draw_map(_plain(chosen_map["correlation_map"]), replace(about, ax=right, stippling=dots, cbar_kwargs=bar))
    when = phase if phase != "difference" else " minus ".join(map(str, found["phase"].values[:2]))
    target = f"{found.attrs['target_variable']}, {found.attrs['target_area']}"
    _title(left, f"(a) Contributions to {target}: {when}")
    _title(right, f"(b) Correlation of {name}{f', {lag} steps before,' if lag else ''} with the observed {target}")
    for ax in (left, right):
        for mask, colour in (("hidden", INK), ("target", CATEGORICAL[3])):
            if mask in found.coords:
                add_outline(ax, found[mask], colors=colour, gid=mask)
    _draw_series(series.subplots(), found, units)
    regions, scores = below.subplots(1, 2)
    _draw_regions(regions, found, phase, units)
    _draw_scores(scores, found)
    if title is not None:
        figure.suptitle(title)
    words = f"{_CAPTION} {found.attrs.get('sentence', '')}"
    figure.supxlabel(textwrap.fill(words, _LETTERS), x=0.01, ha="left", fontsize="small", color=FAINT)
    return figure


def _plain(field: xr.DataArray) -> xr.DataArray:
    return field.drop_vars(["target", "hidden"], errors="ignore")


def _title(ax: Any, text: str) -> None:
    ax.set_title(textwrap.fill(text, 60), loc="left", fontsize="medium")


def _check(found: object, phase: str, correlated: str | None, lag: int) -> None:
    if not isinstance(found, xr.Dataset) or any(name not in found for name in _NEEDED):
        raise ArgumentError(
            "this is no teleconnection",
            expected=f"a Dataset with {', '.join(_NEEDED)}",
            found=", ".join(map(str, found)) if isinstance(found, xr.Dataset) else type(found).__name__,
            fix="xfaconv.plot_teleconnection(xfaconv.teleconnection(ds, 'nino34', 'sst', lead=1))",
        )
    for argument, value, dim in (
        ("phase", phase, "phase"),
        ("correlated", correlated, "variable"),
        ("lag", lag, "lag"),
    ):
        known = found[dim].values.tolist()
        if value is not None and value not in known:
            raise ArgumentError(
                f"{argument} is not in the data",
                expected=f"one of {known}",
                found=repr(value),
                fix=f"{argument}={known[-1]!r}",
            )


def _middle(mask: xr.DataArray) -> float:
    """Longitude in the middle of a mask, which may lie across the seam."""
    plain, grid = canonical(mask)
    inside = np.deg2rad(np.asarray(grid.longitude)[np.asarray(plain.values, dtype=bool).any(axis=0)])
    return float(np.rad2deg(np.arctan2(np.sin(inside).mean(), np.cos(inside).mean())))


def _draw_series(ax: Any, found: xr.Dataset, units: str) -> None:
    time = time_dimension(found["observed"], "the series")
    stamps = found[time].values
    if stamps.dtype.kind == "O":
        stamps = np.array([np.datetime64(stamp.isoformat()[:19]) for stamp in stamps])
    # Seasons stand beside each other, one place apart: other parts of the year would leave the figure empty.
    starts = np.flatnonzero(np.r_[True, np.diff(stamps) > 1.5 * np.diff(stamps).min()])
    at = np.arange(len(stamps)) + np.searchsorted(starts, np.arange(len(stamps)), side="right") - 1

    def broken(values: Any) -> tuple[Any, Any]:
        """Break a line between seasons."""
        return np.insert(at, starts[1:], at[starts[1:]]), np.insert(np.asarray(values, float), starts[1:], np.nan)

    style: dict[str, Any] = {"marker": ".", "ms": 3} if len(at) <= _MOST_MARKS else {"lw": 0.7}
    ax.plot(*broken(found["observed"]), color=INK, label="observed", **style)
    for name in found["prediction"].values:
        ax.plot(*broken(found["predicted"].sel(prediction=name)), color=_COLOURS[name], label=_SAID[name], **style)
    unseen = ~found["in_training"].values.astype(bool)
    edges = np.flatnonzero(np.diff(np.r_[False, unseen, False].astype(int))).reshape(-1, 2)
    for number, (first, last) in enumerate(edges):
        label = None if number else "not used in training"
        ax.axvspan(at[first] - 0.5, at[last - 1] + 0.5, color="0.93", zorder=0, label=label)
    ax.axhline(0, color=FAINT, lw=0.5)
    shown = np.unique(starts[np.searchsorted(starts, np.linspace(0, starts[-1], _MOST_TICKS).round())])
    if len(starts) == 1:
        shown = np.unique(np.linspace(0, len(stamps) - 1, _MOST_TICKS // 2).astype(int))
    shown = shown[np.r_[True, np.diff(shown) > len(stamps) / _MOST_TICKS / 2]]
    ax.set_xticks(at[shown], [str(stamp)[:7] for stamp in stamps[shown]], fontsize="small")
    ax.set_title("(c) Observed and predicted", loc="left", fontsize="medium")
    ax.set_ylabel(f"{found.attrs['target_variable']} anomaly [{units}]")
    ax.legend(ncols=5, frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    ax.margins(x=0.01)


def _draw_regions(ax: Any, found: xr.Dataset, phase: str, units: str) -> None:
    sums = found["by_region"].sel(phase=phase).sum("variable")
    order = np.arange(sums.sizes["region"])[::-1]
    values = sums.values
    ax.barh(order, values, color=[POSITIVE if value > 0 else NEGATIVE for value in values], height=0.6)
    if phase == "difference":
        low, high = (found[f"by_region_{end}"].values for end in ("low", "high"))
        ax.hlines(order, low, high, color=INK, lw=1)
    if "by_region_of_models" in found:
        of_models = found["by_region_of_models"].sel(phase=phase)
        _whiskers(ax, order - _BESIDE, of_models, f"mean and range of {of_models.sizes['model']} models")
        ax.legend(frameon=False, fontsize="small", loc="best")
    ax.set_yticks(order, [textwrap.fill(region_title(str(name)), 24) for name in sums["region"].values])
    ax.axvline(0, color=FAINT, lw=0.5)
    ax.set_xlabel(f"contribution [{units}]")
    ax.set_title(f"(d) Sums by region, {phase}", loc="left", fontsize="medium")


def _whiskers(ax: Any, at: Any, values: xr.DataArray, label: str) -> None:
    """Draw mean and range over the models below a bar or a point."""
    mean, low, high = (getattr(values, name)("model").values for name in ("mean", "min", "max"))
    size = np.stack([np.atleast_1d(mean - low), np.atleast_1d(high - mean)])
    style = {"fmt": "D", "ms": 3, "lw": 1, "capsize": 2.5, "color": MODELS}
    ax.errorbar(np.atleast_1d(mean), np.atleast_1d(at), xerr=size, label=label, **style).lines[0].set_gid("models")


def _draw_scores(ax: Any, found: xr.Dataset) -> None:
    names = found["prediction"].values
    order = np.arange(len(names))[::-1]
    for place, name in zip(order, names, strict=True):
        row = found.sel(prediction=name)
        ax.hlines(place, float(row["correlation_low"]), float(row["correlation_high"]), color=_COLOURS[name], lw=2)
        ax.plot(float(row["correlation"]), place, "o", color=_COLOURS[name])
        if name == "network" and "correlation_of_models" in found:
            of_models = found["correlation_of_models"]
            _whiskers(ax, place - _BESIDE, of_models, f"mean and range of {of_models.sizes['model']} models")
            ax.legend(frameon=False, fontsize="small", loc="best")
    ax.set_yticks(order, [textwrap.fill(_SAID[name], 16) for name in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.set_xlim(min(-0.05, ax.get_xlim()[0]), 1)
    ax.axvline(0, color=FAINT, lw=0.5)
    ax.set_xlabel(f"correlation on {found.attrs['unseen_steps']} unseen steps")
    ax.set_title("(e) Skill", loc="left", fontsize="medium")
