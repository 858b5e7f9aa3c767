"""Figures over time: importance, embedding, regimes."""

from __future__ import annotations

import cftime
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib import dates
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from xarray.plot import FacetGrid

from xfaconv.errors import ArgumentError, TimeError
from xfaconv.plot import plot_embedding, plot_importance, plot_regimes
from xfaconv.plot.series import open_gaps, positions


def gids(ax):
    return [artist.get_gid() for artist in ax.get_children()]


def test_importance_stacks_shares_with_the_mean_beside(make_record):
    record = make_record()
    areas = plot_importance(record)
    assert all(isinstance(area, PolyCollection) for area in areas)
    beside = areas[0].axes.figure.axes[1]
    names = [label.get_text() for label in beside.get_yticklabels()]
    means = record.mean("time").to_series().sort_values()
    assert names == list(means.index)
    np.testing.assert_allclose([bar.get_width() for bar in beside.patches], means.values, rtol=1e-5)
    colours = [to_hex(area.get_facecolor()[0]) for area in areas]
    assert colours == [to_hex(bar.get_facecolor()) for bar in beside.patches]
    assert "equal shares" in gids(beside)


def test_importance_stack_has_the_height_of_the_data(make_record):
    record = make_record()
    areas = plot_importance(record, order=False)
    top = areas[0].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(float(record.isel(variable=-1).max()), rel=1e-5)


def test_shares_that_hardly_move_are_lines_on_a_fitting_axis(make_record):
    record = 0.2 + 0.01 * (make_record() - 0.2)
    lines = plot_importance(record)
    assert all(isinstance(line, Line2D) for line in lines)
    low, high = lines[0].axes.get_ylim()
    assert high - low < 0.02


def test_a_long_name_gives_way_to_the_name(make_record):
    record = make_record().assign_attrs(long_name="importance of the variable: gates mapped back through the weights")
    assert plot_importance(record)[0].axes.get_ylabel() == "importance"


@pytest.mark.parametrize("count", [2, 5, 12])
def test_every_variable_has_its_own_colour(make_record, count):
    areas = plot_importance(make_record(count=count))
    assert len({to_hex(area.get_facecolor()[0]) for area in areas}) == count


def test_importance_kinds(make_record):
    assert all(isinstance(line, Line2D) for line in plot_importance(make_record(), kind="line"))
    heat = plot_importance(make_record(), kind="heatmap")
    assert isinstance(heat, QuadMesh)
    assert np.asarray(heat.get_array()).shape == (5, 120)
    assert all(isinstance(line, Line2D) for line in plot_importance(make_record(shares=False)))
    with pytest.raises(ArgumentError, match="heatmap"):
        plot_importance(make_record(), kind="pie")
    with pytest.raises(ArgumentError, match="line"):
        plot_importance(make_record(shares=False), kind="area")


def test_importance_on_a_given_ax_stays_there(make_record):
    figure, ax = plt.subplots()
    areas = plot_importance(make_record(), ax=ax)
    assert areas[0].axes is ax
    assert figure.axes == [ax]
    assert ax.get_legend().get_texts()[0].get_text() == "t995"
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("kind", ["line", "heatmap"])
def test_members_in_panels(make_record, kind):
    record = xr.concat([make_record(), make_record()], "member").assign_coords(member=[0, 1])
    assert isinstance(plot_importance(record, kind=kind, col="member"), FacetGrid)
    embedding = xr.concat([make_record(dim="embedding", shares=False)] * 2, "member").assign_coords(member=[0, 1])
    assert isinstance(plot_embedding(embedding, kind=kind, col="member"), FacetGrid)
    with pytest.raises(ArgumentError, match="member"):
        plot_importance(record, kind=kind)


def test_embedding_rows_are_components_and_zero_is_the_middle(make_record):
    embedding = make_record(count=8, dim="embedding", shares=False)
    artist = plot_embedding(embedding, anomalies=False)
    np.testing.assert_allclose(np.asarray(artist.get_array()), embedding.values.T)
    low, high = artist.get_clim()
    assert low == -high
    assert [int(label.get_text()) for label in artist.axes.get_yticklabels()] == list(range(8))


def test_embedding_anomalies_leave_out_the_warmup(make_record):
    embedding = make_record(count=8, dim="embedding", shares=False)
    expected = embedding - embedding.isel(time=slice(6, None)).mean("time")
    embedding[:6] = 50
    drawn = np.asarray(plot_embedding(embedding).get_array())
    np.testing.assert_allclose(drawn[:, 6:], expected.values.T[:, 6:], atol=1e-5)


@pytest.mark.parametrize("anomalies", [True, False])
def test_lines_swing_about_their_rows_by_half_at_most(make_record, anomalies):
    embedding = make_record(count=4, dim="embedding", shares=False).drop_vars("full_warmup")
    for row, line in enumerate(plot_embedding(embedding, kind="line", anomalies=anomalies)):
        assert np.nanmean(line.get_ydata()) == pytest.approx(row, abs=1e-5)
        assert 0.3 < np.abs(line.get_ydata() - row).max() < 0.6


def test_embedding_components_by_label(make_record):
    embedding = make_record(count=8, dim="embedding", shares=False)
    lines = plot_embedding(embedding, kind="line", components=[2, 5])
    assert [label.get_text() for label in lines[0].axes.get_yticklabels()] == ["2", "5"]
    with pytest.raises(ArgumentError, match="99"):
        plot_embedding(embedding, components=[99])


def test_index_stands_below_on_the_same_time(make_record):
    embedding = make_record(count=8, dim="embedding", shares=False)
    index = embedding.isel(embedding=0, drop=True).rename("nino34").assign_attrs(long_name="Niño 3.4", units="K")
    artist = plot_embedding(embedding, index=index.isel(time=slice(10, None)))
    top, below = artist.figure.axes[:2]
    assert top.get_xlim() == below.get_xlim()
    assert below.get_ylabel() == "Niño 3.4 [K]"
    line = below.lines[0]
    np.testing.assert_allclose(line.get_xdata()[0], dates.date2num(index.time.values[10]))
    with pytest.raises(ArgumentError, match="ax"):
        plot_embedding(embedding, index=index, ax=top)


def test_steps_without_a_full_warmup_are_hatched(make_record):
    for figure in (plot_importance(make_record())[0], plot_embedding(make_record(dim="embedding", shares=False))):
        (span,) = [artist for artist in figure.axes.get_children() if artist.get_gid() == "warm-up"]
        start, end = span.get_x(), span.get_x() + span.get_width()
        assert dates.num2date(start).strftime("%Y-%m") == "2000-12"
        assert dates.num2date(end).strftime("%Y-%m") == "2001-06"
    assert "warm-up" not in gids(plot_importance(make_record().drop_vars("full_warmup"))[0].axes)


def test_gaps_are_left_open(make_record):
    embedding = make_record(dim="embedding", shares=False)
    broken = embedding.isel(time=np.r_[0:50, 80:120])
    lines = plot_embedding(broken, kind="line")
    x, y = lines[0].get_data()
    inside = (x > dates.date2num(embedding.time.values[51])) & (x < dates.date2num(embedding.time.values[78]))
    assert np.isnan(y[np.searchsorted(x, dates.date2num(embedding.time.values[49])) + 1])
    assert np.isnan(y[inside]).all()
    heat = plot_embedding(broken)
    edges = heat.get_coordinates()[0, :, 0]
    missing = np.ma.getmaskarray(np.ma.masked_invalid(heat.get_array()))[0]
    widths = np.diff(edges)
    assert widths[~missing].max() < 32
    assert widths[missing].sum() == pytest.approx(30 * 30.4, abs=40)


def test_open_gaps_leaves_a_record_without_gaps_alone():
    where, values = open_gaps(np.arange(5.0), np.ones((5, 2)))
    assert where.tolist() == [0, 1, 2, 3, 4]
    assert values.shape == (5, 2)


@pytest.mark.parametrize("calendar", [cftime.Datetime360Day, cftime.DatetimeNoLeap])
def test_other_calendars_are_drawn_in_decimal_years(make_record, calendar):
    record = make_record(steps=24)
    when = [calendar(2001 + k // 12, k % 12 + 1, 1) for k in range(24)]
    record = record.assign_coords(time=when)
    areas = plot_importance(record)
    assert areas[0].axes.get_xlim() == pytest.approx((2001, 2002 + 11 / 12), abs=0.01)


def test_decimal_years_against_the_standard_calendar():
    time = xr.DataArray(np.array(["2000-12-31", "2001-07-02T12"], "M8[ns]"), dims="time")
    np.testing.assert_allclose(positions(time, years=True), [2000 + 365 / 366, 2001.5], atol=1e-4)


def test_unsorted_time_is_sorted(make_record):
    record = make_record()
    shuffled = record.isel(time=np.random.default_rng(0).permutation(record.sizes["time"]))
    first, second = plot_embedding(record), plot_embedding(shuffled)
    np.testing.assert_array_equal(np.asarray(first.get_array()), np.asarray(second.get_array()))


def test_no_time_is_named():
    with pytest.raises(TimeError, match="importance"):
        plot_importance(xr.DataArray(np.ones((3, 2)), dims=("step", "variable")))


def test_input_stays(make_record):
    record = make_record()
    before = record.copy(deep=True)
    plot_importance(record)
    plot_embedding(record.rename(variable="embedding"))
    xr.testing.assert_identical(record, before)


def make_regimes(years=3):
    time = np.arange("2001-01-01", f"{2001 + years}-01-01", dtype="M8[D]").astype("M8[ns]")
    return xr.DataArray((np.arange(time.size) // 10) % 4, {"time": time}, ("time",), name="regime")


def test_calendar_puts_each_day_in_its_cell():
    """Oracle: read single days back from the picture's array."""
    regimes = make_regimes()
    cells = np.asarray(plot_regimes(regimes).get_array())
    assert cells.shape == (3, 366)
    for date, row, column in (
        ("2001-01-01", 0, 0),
        ("2002-02-28", 1, 58),
        ("2002-03-01", 1, 60),
        ("2003-12-31", 2, 365),
    ):
        assert cells[row, column] == regimes.sel(time=date)
    assert np.ma.getmaskarray(np.ma.masked_invalid(cells))[:, 59].all()


def test_calendar_of_winters_keeps_each_winter_in_one_row():
    regimes = make_regimes()
    winter = regimes.where(regimes.time.dt.month.isin([12, 1, 2]), -1)
    artist = plot_regimes(winter)
    cells = np.asarray(artist.get_array())
    assert cells.shape == (4, 31 + 31 + 29)
    assert cells[1, 0] == regimes.sel(time="2001-12-01")
    assert cells[1, 31] == regimes.sel(time="2002-01-01")
    assert [label.get_text() for label in artist.axes.get_xticklabels(minor=True)] == ["D", "J", "F"]


def test_calendar_of_months():
    time = (np.datetime64("2001-01", "M") + np.arange(24)).astype("M8[ns]")
    names = xr.DataArray(np.array(["ridge", "trough"])[np.arange(24) % 2], {"time": time}, ("time",))
    artist = plot_regimes(names)
    assert np.asarray(artist.get_array()).shape == (2, 12)
    assert [text.get_text() for text in artist.axes.get_legend().get_texts()] == ["ridge (50%)", "trough (50%)"]


def test_regime_maps_say_how_often(make_wave):
    regimes = make_regimes()
    maps = xr.concat([make_wave(number=k + 1) for k in range(4)], "regime").assign_coords(regime=range(4))
    grid = plot_regimes(regimes, maps)
    assert isinstance(grid, FacetGrid)
    shares = [(regimes == k).mean().item() for k in range(4)]
    assert [ax.get_title() for ax in grid.axs.flat] == [f"{k} ({shares[k]:.0%})" for k in range(4)]
    dotted = plot_regimes(regimes, maps, stippling=abs(maps) > 0.5)
    assert all("stippling" in gids(ax) for ax in dotted.axs.flat)
    with pytest.raises(ArgumentError, match="7"):
        plot_regimes(regimes, maps.assign_coords(regime=[0, 1, 2, 7]))


def test_what_is_flagged_as_none_is_no_regime_and_has_no_share():
    time = np.arange("2008-12-01", "2009-03-01", dtype="M8[D]").astype("M8[ns]")
    label = np.where(np.arange(time.size) < 30, 0, 1 + np.arange(time.size) % 2)
    flags = {"flag_values": np.arange(3), "flag_meanings": "none regime_1 regime_2"}
    artist = plot_regimes(xr.DataArray(label, {"time": time}, ("time",), attrs=flags))
    legend = [text.get_text() for text in artist.axes.get_legend().get_texts()]
    assert legend == ["1 (50%)", "2 (50%)"]
    assert int(np.isnan(np.ma.filled(artist.get_array(), np.nan)).sum()) == artist.get_array().size - 60


def test_a_single_winter_has_a_whole_year_on_its_axis():
    time = np.arange("2008-12-01", "2009-03-01", dtype="M8[D]").astype("M8[ns]")
    ax = plot_regimes(xr.DataArray(np.arange(time.size) % 2, {"time": time}, ("time",))).axes
    shown = [tick for tick in ax.get_yticks() if min(ax.get_ylim()) <= tick <= max(ax.get_ylim())]
    assert shown == [2008]


def test_regimes_that_never_hold_are_refused():
    with pytest.raises(ArgumentError, match="no time"):
        plot_regimes(make_regimes() * 0 - 1)


def test_regimes_with_other_dimensions_are_refused():
    with pytest.raises(ArgumentError, match="one label for each time"):
        plot_regimes(make_regimes().expand_dims(member=2))


def test_composites_without_regimes_are_refused(make_wave):
    with pytest.raises(ArgumentError, match="no labelled dimension of regimes"):
        plot_regimes(make_regimes(), make_wave())
    with pytest.raises(ArgumentError, match="no labelled dimension of regimes"):
        plot_regimes(make_regimes(), make_wave().expand_dims(regime=4).drop_vars("regime", errors="ignore"))


def test_the_calendar_takes_axes_and_colours_and_leaves_out_what_is_not_wanted():
    _, ax = plt.subplots()
    artist = plot_regimes(make_regimes(), ax=ax, cmap="viridis", title="", add_colorbar=False)
    assert artist.axes is ax
    assert ax.get_title() == ""
    assert ax.get_legend() is None
    expected = plt.get_cmap("viridis")(np.linspace(0, 1, 4))
    np.testing.assert_allclose(artist.cmap(np.arange(4)), expected)


def test_importance_without_its_mean_has_one_panel(make_record):
    lines = plot_importance(make_record(), kind="line", mean=False, title="Winter")
    figure = lines[0].axes.figure
    assert len(figure.axes) == 1
    assert figure.get_suptitle() == "Winter"
    assert len(lines[0].axes.get_legend().get_texts()) == len(lines), "the legend names what the mean would"


def test_shares_are_not_stacked_in_panels(make_record):
    members = xr.concat([make_record()] * 2, "member")
    with pytest.raises(ArgumentError, match="one panel only"):
        plot_importance(members, kind="area", col="member")


def test_a_record_of_more_dimensions_is_refused(make_record):
    with pytest.raises(ArgumentError, match="time and one other dimension"):
        plot_importance(xr.concat([make_record()] * 2, "member"))
    with pytest.raises(ArgumentError, match="one series over time"):
        plot_embedding(make_record().rename(variable="embedding"), index=make_record())


def test_a_heat_map_takes_a_norm_and_an_axis_for_its_colour_bar(make_record):
    figure, (ax, bar) = plt.subplots(1, 2)
    norm = plt.Normalize(-1, 3)
    record = make_record().rename(variable="embedding")
    artist = plot_embedding(record, ax=ax, norm=norm, cbar_kwargs={"cax": bar})
    assert (artist.norm.vmin, artist.norm.vmax) == (-1, 3)
    assert artist.colorbar.ax is bar
    assert len(figure.axes) == 2
    bare = plot_embedding(record, add_colorbar=False)
    assert bare.colorbar is None
