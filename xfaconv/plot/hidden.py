"""Maps of hidden states: what the network holds in memory, channel by channel."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError
from xfaconv.plot.arrangement import arrange
from xfaconv.plot.coordinates import canonical, drawn_dimension, horizontal_dimensions
from xfaconv.plot.looks import check_looks
from xfaconv.plot.maps import Kind, MapStyle, draw_map

if TYPE_CHECKING:
    from cartopy import crs as ccrs
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize

    from xfaconv.plot.coastlines import Resolution
    from xfaconv.plot.projections import Extent


_SHOWN = 6


def plot_hidden(
    hidden: xr.DataArray,
    *,
    channels: Sequence[Any] | None = None,
    stippling: xr.DataArray | None = None,
    projection: str | ccrs.CRS | None = None,
    extent: Extent | None = None,
    coastlines: Resolution | Literal[False] = "110m",
    borders: bool = False,
    kind: Kind = "pcolormesh",
    title: str | None = None,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
    size: float | None = None,
    aspect: float | None = None,
    row: Hashable | None = None,
    col: Hashable | None = None,
    col_wrap: int | None = None,
    cmap: str | Colormap | None = None,
    center: float | Literal[False] | None = None,
    robust: bool = True,
    levels: int | Sequence[float] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    norm: Normalize | None = None,
    add_colorbar: bool = True,
    cbar_kwargs: Mapping[str, Any] | None = None,
    subplot_kws: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Draw hidden states as maps, one for each channel.

    Parameters
    ----------
    hidden : DataArray ([time,] channel, latitude, longitude) [1]
        As `xfaconv.hidden` gives it. Time is averaged over unless it is `row` or `col`.
    channels : sequence, optional
        Labels of the channels to draw; by default the six that vary most over the globe.
    stippling : DataArray ([row,] [col,] latitude, longitude), bool, optional
        Dots where True.
    projection : str or cartopy.crs.CRS, optional
        Such as "Robinson" or "NorthPolarStereo"; by default what suits the domain.
    extent : (float, float, float, float), optional
        West, east, south, north [degrees] to show.
    coastlines : {"110m", "50m", "10m"} or False, default "110m"
        110m is embedded; finer ones come through cartopy, which may download them.
    borders : bool, default False
        Draw land borders of countries too.
    kind : {"pcolormesh", "contourf"}, default "pcolormesh"
        Cells as they are, or filled contours.
    title : str, optional
        By default the number of channels and the dates.
    ax : GeoAxes, optional
        Where to draw; by default a new figure.
    figsize, size, aspect : optional
        Of the figure, or height [inches] and width over height of each map, as in xarray.
    row, col : hashable, optional
        Dimensions to make panels of; "season" makes them of time.
    col_wrap : int, optional
        Panels in a row; by default at most three.
    cmap, center, robust, levels, vmin, vmax, norm : optional
        Colours, as in xarray; zero is in the middle of values of both signs, `robust` is on.
    add_colorbar : bool, default True
        Draw one colour bar for all panels.
    cbar_kwargs, subplot_kws : mapping, optional
        Passed to the colour bar and to the axes.
    **kwargs
        Passed to matplotlib.

    Returns
    -------
    FacetGrid, QuadMesh or QuadContourSet
        xarray's FacetGrid; the artist where there is one channel.

    Raises
    ------
    ArgumentError
        If there is no channel dimension, or `channels` are not in it.
    CoordinateError
        If latitude or longitude is missing.

    Examples
    --------
    >>> latitude, longitude = np.arange(-85, 90, 10.0), np.arange(0, 360, 10.0)
    >>> waves = np.cos(np.arange(1, 9)[:, None, None] * np.deg2rad(longitude)) * np.ones((8, 18, 36))
    >>> da = xr.DataArray(waves, {"lat": latitude, "lon": longitude}, ("channel", "lat", "lon"))
    >>> grid = plot_hidden(da, channels=[0, 5])
    >>> [ax.get_title() for ax in grid.axs.flat]
    ['channel 0', 'channel 5']
    """
    check_looks(locals())
    channel = _channel_dimension(hidden)
    if channel not in hidden.coords:
        hidden = hidden.assign_coords({channel: np.arange(hidden.sizes[channel])})
    total = hidden.sizes[channel]
    if channels is not None:
        hidden = _selected(hidden, channel, channels)
    if col is None and row != channel:
        col = channel
    field, period, row, col = arrange(hidden, row, col)
    if channels is None:
        field = _most_varied(field, channel)
    shown = field.sizes.get(channel, 1)
    heading = f"Hidden state, {shown} of {total} channels" + (f", {period}" if period else "")
    if shown == 1 and row is None:
        field, col, heading = field.squeeze(channel, drop=True), None, heading.replace(", ", "\n", 1)
    style = MapStyle(
        ax=ax,
        figsize=figsize,
        size=size,
        aspect=aspect,
        row=row,
        col=col,
        col_wrap=col_wrap,
        cmap=cmap,
        center=center,
        robust=robust,
        levels=levels,
        vmin=vmin,
        vmax=vmax,
        norm=norm,
        add_colorbar=add_colorbar,
        cbar_kwargs=cbar_kwargs,
        subplot_kws=subplot_kws,
        kind=kind,
        projection=projection,
        extent=extent,
        stippling=stippling,
        coastlines=coastlines,
        borders=borders,
        title=title if title is not None else heading,
        extra=kwargs,
    )
    return draw_map(field, style)


def _channel_dimension(hidden: xr.DataArray) -> Hashable:
    horizontal_dimensions(hidden)
    if "channel" in hidden.dims:
        return "channel"
    known = {*horizontal_dimensions(hidden), drawn_dimension(hidden, "time")}
    left = [dim for dim in hidden.dims if dim not in known]
    if len(left) != 1:
        raise ArgumentError(
            "hidden states have no dimension of channels",
            expected="dimensions (time, channel, latitude, longitude)",
            found=f"dimensions {tuple(str(dim) for dim in hidden.dims)}",
            fix="hidden = hidden.rename({'<its name>': 'channel'})",
        )
    return left[0]


def _selected(hidden: xr.DataArray, channel: Hashable, wanted: Sequence[Any]) -> xr.DataArray:
    try:
        return hidden.sel({channel: list(wanted)})
    except (KeyError, IndexError) as problem:
        raise ArgumentError(
            f"channels are not all in the coordinate {channel!r}",
            expected=f"labels among {hidden[channel].to_numpy().tolist()}",
            found=repr(list(wanted)),
            fix=f"channels={hidden[channel].to_numpy()[:3].tolist()}",
        ) from problem


def _most_varied(field: xr.DataArray, channel: Hashable) -> xr.DataArray:
    """Keep the channels of the largest area-weighted variance, in their own order."""
    plain, grid = canonical(field)
    weights = xr.DataArray(grid.area, dims=plain.dims[-2:])
    others = [dim for dim in plain.dims if dim != channel]
    spread = plain.weighted(weights).var(others).fillna(0.0)
    return field.isel({channel: np.sort(np.argsort(-spread.to_numpy(), kind="stable")[:_SHOWN])})
