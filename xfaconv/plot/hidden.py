"""Maps of hidden states, channel by channel."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from xfaconv.names import find_dimension
from xfaconv.plot.coordinates import canonical, horizontal_dimensions, select_labels
from xfaconv.plot.labels import wrong_dimensions
from xfaconv.plot.maps import arrange, draw_map
from xfaconv.plot.style import MapStyle, check_figure, figure

STYLE = MapStyle(robust=True)
_SHOWN = 6


@figure(STYLE)
def plot_hidden(hidden: xr.DataArray, *, channels: Sequence[Any] | None = None, **options: Any) -> Any:
    """Draw hidden states as maps, one for each channel.

    Parameters
    ----------
    hidden : DataArray ([time,] channel, latitude, longitude) [1]
        As `xfaconv.hidden` gives it. Time is averaged over unless it is `row` or `col`.
    channels : sequence, optional
        Labels of the channels to draw; by default the six that vary most over the globe.
    title : str, optional
        By default the number of channels and the dates.
    row, col : hashable, optional
        Dimensions to make panels of; "season" makes them of time. By default the channels are `col`.

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
    check_figure(channels=channels)
    style = STYLE.updated(options)
    channel = _channel_dimension(hidden)
    if channel not in hidden.coords:
        hidden = hidden.assign_coords({channel: np.arange(hidden.sizes[channel])})
    total = hidden.sizes[channel]
    if channels is not None:
        hidden = select_labels(hidden, channel, channels, "channels")
    if style.col is None and style.row != channel and hidden.sizes[channel] > 1:
        style = replace(style, col=channel)
    field, period, style = arrange(hidden, style)
    if channels is None and channel in field.dims:
        field = _most_varied(field, channel)
    shown = field.sizes.get(channel, 1)
    if style.title is None:
        end = f"{', ' if style.panels else chr(10)}{period}" if period else ""
        style = replace(style, title=f"Hidden state, {shown} of {total} channels{end}")
    return draw_map(field, style)


def _channel_dimension(hidden: xr.DataArray) -> Hashable:
    horizontal = horizontal_dimensions(hidden)
    if "channel" in hidden.dims:
        return "channel"
    known = {*horizontal, find_dimension(hidden, "time")}
    left = [dim for dim in hidden.dims if dim not in known]
    if len(left) != 1:
        expected, fix = (
            "dimensions (time, channel, latitude, longitude)",
            "hidden = hidden.rename({'its name': 'channel'})",
        )
        raise wrong_dimensions(hidden, "hidden states have no dimension of channels", expected, fix)
    return left[0]


def _most_varied(field: xr.DataArray, channel: Hashable) -> xr.DataArray:
    """Keep the channels of the largest area-weighted variance, in their own order."""
    plain, grid = canonical(field)
    weights = xr.DataArray(grid.area, dims=plain.dims[-2:])
    others = [dim for dim in plain.dims if dim != channel]
    spread = plain.weighted(weights).var(others).fillna(0.0)
    return field.isel({channel: np.sort(np.argsort(-spread.to_numpy(), kind="stable")[:_SHOWN])})
