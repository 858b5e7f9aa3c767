"""Dots lie where something holds; hidden states show their channels."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh

from xfaconv.errors import ArgumentError, CoordinateError
from xfaconv.plot import plot_correlation, plot_hidden


def artists(ax, gid):
    return [artist for artist in ax.get_children() if artist.get_gid() == gid]


def test_stippling_lies_on_true_cells_only(make_wave):
    wave = make_wave()
    dots = plot_correlation(wave, stippling=wave > 0.5)
    (points,) = artists(dots.axes, "stippling")
    for longitude, latitude in np.asarray(points.get_offsets()):
        assert wave.sel(lat=latitude, lon=longitude % 360) > 0.5
    assert len(points.get_offsets()) > 20


def test_stippling_follows_its_panel(make_wave):
    waves = xr.concat([make_wave(number=n) for n in (1, 2)], xr.DataArray([1, 2], dims="lag", name="lag"))
    significant = xr.concat([waves[0] > 9, waves[1] > 0.5], "lag")
    grid = plot_correlation(waves, stippling=significant)
    counts = [len(artists(ax, "stippling")[0].get_offsets()) for ax in grid.axs.flat]
    assert counts[0] == 0
    assert counts[1] > 20


def test_stippling_in_another_order_is_put_in_order(make_wave):
    wave = make_wave()
    turned = (wave > 0.5).isel(lat=slice(None, None, -1)).roll(lon=9, roll_coords=True)
    first, second = (
        artists(plot_correlation(wave, stippling=s).axes, "stippling")[0].get_offsets() for s in (wave > 0.5, turned)
    )
    np.testing.assert_allclose(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("rounding", [0.0, 3e-5, -3e-5])
def test_stippling_in_another_convention_of_longitude_is_put_in_order(make_wave, rounding):
    wave = make_wave()
    dots = (wave > 0.5).assign_coords(lon=(wave.lon + 180) % 360 - 180).sortby("lon")
    shifted = wave.assign_coords(lon=wave.lon + rounding)
    first, second = (
        artists(plot_correlation(shifted, stippling=s).axes, "stippling")[0].get_offsets()
        for s in (shifted > 0.5, dots)
    )
    apart = np.asarray(first) - np.asarray(second)
    np.testing.assert_allclose((apart + 180) % 360 - 180, 0, atol=1e-3)


def test_stippling_of_another_grid_or_kind_is_refused(make_wave):
    wave = make_wave()
    with pytest.raises(CoordinateError, match="lon"):
        plot_correlation(wave, stippling=(wave > 0).isel(lon=slice(0, 30)))
    with pytest.raises(ArgumentError, match="boolean"):
        plot_correlation(wave, stippling=wave)
    with pytest.raises(ArgumentError, match="lag"):
        plot_correlation(wave, stippling=(wave > 0).expand_dims(lag=2))


def test_a_coordinate_of_significance_is_used(make_wave):
    wave = make_wave().assign_coords(significant=make_wave() > 0.5)
    assert artists(plot_correlation(wave).axes, "stippling")
    assert not artists(plot_correlation(wave, stippling=False).axes, "stippling")


def test_hidden_shows_the_channels_that_vary_most(make_wave):
    hidden = xr.concat([make_wave() * scale for scale in (0.1, 5, 0.2, 4, 3, 2, 1, 0.9)], "channel")
    hidden = hidden.assign_coords(channel=np.arange(1, 9)).rename("hidden")
    grid = plot_hidden(hidden)
    assert [ax.get_title() for ax in grid.axs.flat] == [f"channel {k}" for k in (2, 4, 5, 6, 7, 8)]
    single = plot_hidden(hidden, channels=[3])
    assert isinstance(single, QuadMesh)
    with pytest.raises(ArgumentError, match="99"):
        plot_hidden(hidden, channels=[99])


def test_hidden_over_time_in_panels(make_wave):
    time = np.array(["2000-01-01", "2000-02-01"], "M8[ns]")
    hidden = make_wave().expand_dims(time=time, channel=[1, 2])
    grid = plot_hidden(hidden, row="time")
    assert grid.axs.shape == (2, 2)
    assert [ax.texts[0].get_text() for ax in grid.axs[:, 0]] == ["Jan 2000", "Feb 2000"]


def test_hidden_states_without_channels_are_refused(make_wave):
    with pytest.raises(ArgumentError, match="no dimension of channels"):
        plot_hidden(make_wave())


def test_channels_under_another_name_and_without_labels_are_counted(make_wave):
    hidden = xr.concat([make_wave() * scale for scale in (1, 2)], "feature")
    grid = plot_hidden(hidden, row="feature")
    assert grid.axs.shape == (2, 1)
    assert [ax.get_title() for ax in grid.axs[:, 0]] == ["feature 0", "feature 1"]
    single = plot_hidden(hidden, channels=[1])
    np.testing.assert_allclose(np.nanmax(single.get_array()), np.nanmax(2 * make_wave()), rtol=1e-6)
