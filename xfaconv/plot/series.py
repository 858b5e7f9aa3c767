"""What figures over time share: the record in order, the figure and its side panel, a companion index, tidy axes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError
from xfaconv.plot.colours import INK, NEGATIVE, POSITIVE
from xfaconv.plot.labels import quantity_text, sizes_in
from xfaconv.plot.time_axis import format_time_axis, is_calendar, open_gaps, positions, time_dimension

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Record:
    """A record over time with one other dimension, ready to be drawn.

    Parameters
    ----------
    data : DataArray (time, embedding)
        In memory, in the order of time.
    component : hashable
        Name of the other dimension.
    where : ndarray (time + gaps,)
        Positions along the axis, gaps opened.
    values : ndarray (time + gaps, component)
        Missing in the gaps.
    steps : ndarray (time,)
        Positions of the steps that are there.
    years : bool
        Whether positions are decimal years.
    time : str
        Name of the time dimension.
    """

    data: xr.DataArray
    component: Hashable
    where: NDArray[np.float64]
    values: NDArray[np.floating]
    steps: NDArray[np.float64]
    years: bool
    time: str

    @property
    def names(self) -> list[str]:
        """Names of the components."""
        return [str(value) for value in self.data[self.component].values]


def read_record(data: xr.DataArray, what: str, facets: tuple[Hashable | None, ...] = ()) -> Record:
    """Compute a record and find its dimensions.

    Parameters
    ----------
    data : DataArray (time, embedding)
        Any order, any chunks.
    what : str
        What it is, for the errors.
    facets : tuple of hashable or None
        Dimensions that panels are made of.

    Returns
    -------
    Record
        Of the first panel where there are facets.

    Raises
    ------
    TimeError
        If there is no time.
    ArgumentError
        If there is not exactly one other dimension.

    Examples
    --------
    >>> months = np.array(["2000-02-01", "2000-01-01"], "M8[ns]")
    >>> read_record(xr.DataArray([[1.0], [2.0]], {"time": months}, ("time", "k")), "embedding").values.tolist()
    [[2.0], [1.0]]
    """
    time = time_dimension(data, what)
    panels = [dim for dim in facets if dim is not None]
    strange = [dim for dim in panels if dim not in data.dims or dim == time]
    if strange:
        raise ArgumentError(
            f"{strange[0]!r} is not a dimension that panels can be made of",
            expected=f"one of {tuple(str(dim) for dim in data.dims if dim != time)}",
            found=repr(strange[0]),
        )
    data = data.isel(dict.fromkeys(panels, 0))
    data = data.squeeze([dim for dim in data.dims if data.sizes[dim] == 1 and dim != time and data.ndim > 2])
    others = [dim for dim in data.dims if dim != time]
    if len(others) != 1:
        raise ArgumentError(
            f"{what} is drawn over time and one other dimension",
            expected="two dimensions",
            found=", ".join(f"{dim}: {data.sizes[dim]}" for dim in data.dims),
            fix=f"data.isel({others[0]}=0)" if len(others) > 1 else "data.expand_dims('variable')",
        )
    data = data.transpose(time, others[0]).sortby(time).compute()
    years = is_calendar(data[time])
    steps = positions(data[time], years=years)
    where, values = open_gaps(steps, data.values)
    return Record(data, others[0], where, values, steps, years, str(time))


def new_figure(width: float, height: float) -> Figure:
    """Make a figure, or take the current one where it is still empty, as xarray does.

    Parameters
    ----------
    width, height : float
        Of a new figure [inches].

    Returns
    -------
    Figure

    Examples
    --------
    >>> figure = new_figure(4.0, 3.0)
    >>> plt.close(figure)
    """
    if plt.get_fignums() and not plt.gcf().axes:
        return plt.gcf()
    return plt.figure(figsize=(width, height), layout="constrained")


def tidy(ax: Axes) -> None:
    """Leave out what a reader does not need: the frame above and at the right, heavy ticks.

    Parameters
    ----------
    ax : Axes
        The panel.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> tidy(Figure().add_subplot())
    """
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_linewidth(0.6)
        ax.spines[side].set_color(INK)
    ax.tick_params(labelsize=sizes_in(ax)["tick"], width=0.6, colors=INK)


def draw_index(ax: Axes, index: xr.DataArray, years: bool) -> list[Any]:
    """Draw an index above and below zero in two colours.

    Parameters
    ----------
    ax : Axes
        The panel; its limits along time stay.
    index : DataArray (time,)
        Such as Nino3.4, with `long_name` and `units` where known.
    years : bool
        Whether the panel's positions are decimal years.

    Returns
    -------
    list of artists

    Raises
    ------
    ArgumentError
        If it has other dimensions than time.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> months = np.array(["2000-01-01", "2000-02-01"], "M8[ns]")
    >>> len(draw_index(Figure().add_subplot(), xr.DataArray([1.0, -1.0], {"time": months}, ("time",)), False))
    3
    """
    time = time_dimension(index, "index")
    if index.ndim != 1:
        raise ArgumentError(
            "index is one series over time",
            expected="one dimension",
            found=", ".join(f"{dim}: {index.sizes[dim]}" for dim in index.dims),
            fix="index=ds['nino34']",
        )
    index = index.sortby(time).compute()
    where, values = open_gaps(positions(index[time], years=years), index.values)
    sizes = sizes_in(ax)
    above = ax.fill_between(where, np.maximum(values, 0), color=POSITIVE, linewidth=0, alpha=0.85)
    below = ax.fill_between(where, np.minimum(values, 0), color=NEGATIVE, linewidth=0, alpha=0.85)
    (line,) = ax.plot(where, values, color=INK, linewidth=0.5)
    ax.axhline(0.0, color=INK, linewidth=0.5)
    ax.set_ylabel(quantity_text(index, "index"), fontsize=sizes["label"], color=INK)
    tidy(ax)
    format_time_axis(ax, years=years, name=str(time))
    return [above, below, line]
