"""Accumulated fluxes: by every name of ERA5, over any step, they stand for the flux that a model reads."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xfaconv
from xfaconv.adapt import InputSpec, adapt
from xfaconv.errors import UnitsError
from xfaconv.names.tables import entries
from xfaconv.names.units import likely_changes
from xfaconv.specs import VariableSpec

SECONDS = {"1h": 3600, "3h": 10800, "6h": 21600, "12h": 43200, "1D": 86400}
DOWN = {"ttr": "J m**-2", "mtnlwrf": "W m**-2"}
NAMES = [(name, key) for key in ("ttr", "mtnlwrf", "olr") for name in sorted(entries()[key].names)]
MODEL = "amip-daily-5p6deg"


@cache
def day() -> xr.Dataset:
    return xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 22)).load()


def world(step: str, steps: int = 6) -> xr.Dataset:
    """Two hundred watts and a little more in each cell, counted upward."""
    time = pd.date_range("2001-01-01", periods=steps, freq={"1M": "MS"}.get(step, step.lower().replace("1d", "D")))
    values = 200 + np.arange(steps * 8.0).reshape(steps, 2, 4)
    return xr.Dataset(
        {"olr": (("time", "latitude", "longitude"), values, {"units": "W m-2"})},
        {"time": time, "latitude": [0.0, 5.0], "longitude": [0.0, 5.0, 10.0, 15.0]},
    )


def olr(step: str) -> InputSpec:
    return InputSpec((VariableSpec("olr", "W m-2", "outgoing"),), None, step)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(named=st.sampled_from(NAMES), step=st.sampled_from(sorted(SECONDS)), given_by_name=st.booleans())
def test_every_name_of_era5_stands_for_outgoing_radiation(named, step, given_by_name):
    name, key = named
    ds = world(step)
    factor = -1.0 if key in DOWN else 1.0
    units = DOWN.get(key, "W m-2")
    factor *= SECONDS[step] if units.startswith("J") else 1
    data = ds.rename(olr=name).assign({name: (ds.olr.dims, ds.olr.to_numpy() * factor, {"units": units})})
    variables = {"olr": name} if given_by_name else None
    out = adapt(data, olr(step), climatology=None, variables=variables)
    np.testing.assert_allclose(out.data.olr, ds.olr, rtol=1e-6)
    if key == "ttr":
        assert any("opposite sign" in note and f"accumulated over {step}" in note for note in out.notes)


def test_downward_radiation_stands_for_its_flux():
    ds = world("1h").rename(olr="ssrd")
    ds["ssrd"] = (ds.ssrd * 3600).assign_attrs(units="J m-2")
    out = adapt(ds, InputSpec((VariableSpec("rsds", "W m-2", "down"),), None, "1h"), climatology=None)
    np.testing.assert_allclose(out.data.rsds, world("1h").olr, rtol=1e-6)


def test_a_flux_is_preferred_to_what_it_was_accumulated_to():
    ds = world("1D")
    both = ds.rename(olr="mtnlwrf").assign(mtnlwrf=-ds.olr.assign_attrs(units="W m-2"))
    both["mtnlwrf"] = both.mtnlwrf.assign_attrs(units="W m-2")
    both["ttr"] = (-ds.olr * 3600).assign_attrs(units="J m-2")
    np.testing.assert_allclose(adapt(both, olr("1D"), climatology=None).data.olr, ds.olr, rtol=1e-6)


def test_sums_over_an_unknown_time_are_refused_with_a_line_that_works():
    ds = world("1M").rename(olr="ttr")
    ds["ttr"] = (ds.ttr * -86400).assign_attrs(units="J m**-2")
    with pytest.raises(UnitsError, match="is accumulated: the time over which it is summed is not known") as caught:
        adapt(ds, olr("1M"), climatology=None)
    exec(caught.value.fix, {"ds": ds})
    np.testing.assert_allclose(adapt(ds, olr("1M"), climatology=None).data.olr, world("1M").olr, rtol=1e-6)


@settings(derandomize=True, max_examples=12, deadline=None)
@given(hours=st.sampled_from([1, 3, 6]), name=st.sampled_from(["ttr", "top_net_thermal_radiation"]))
def test_means_of_sums_are_told_from_sums(hours, name):
    """Daily means of hourly sums are 24 times too small: refused, with that number."""
    ds = day().drop_vars("olr")
    ds[name] = (-day().olr * 3600 * hours).assign_attrs(units="J m**-2")
    with pytest.raises(UnitsError) as caught:
        xfaconv.conform(ds, model=MODEL)
    assert f"* {24 // hours})" in caught.value.fix
    exec(caught.value.fix.partition("  #")[0], {"ds": ds})
    found = xfaconv.conform(ds, model=MODEL).olr
    np.testing.assert_allclose(found, xfaconv.conform(day(), model=MODEL).olr, atol=1e-3)


def test_the_lines_of_the_case_lead_to_the_right_embedding():
    right = day().faconv.embed()
    ds = day().drop_vars("olr")
    ds["ttr"] = (-day().olr * 86400).assign_attrs(units="J m**-2", long_name="Top net long-wave (thermal) radiation")
    np.testing.assert_allclose(ds.faconv.embed(), right, atol=1e-4)
    ds["ttr"] = (ds.ttr / 86400).assign_attrs(units="W m-2")
    np.testing.assert_allclose(ds.faconv.embed(), right, atol=1e-4)
    # Under a name of the model that says "upward", the values decide.
    named = ds.rename(ttr="olr")
    with pytest.raises(UnitsError, match="variable 'olr'") as caught:
        named.faconv.embed()
    exec(caught.value.fix.partition("  #")[0], {"ds": named})
    np.testing.assert_allclose(named.faconv.embed(), right, atol=1e-4)


def test_a_rate_of_a_month_is_refused_with_a_line_that_works():
    ds = world("1M").rename(olr="tp")
    ds["tp"] = (ds.tp * 1e-7).assign_attrs(units="kg m-2 s-1")
    target = InputSpec((VariableSpec("tp", "m", "rain"),), None, "1M")
    with pytest.raises(UnitsError, match="is a rate and the model reads an amount") as caught:
        adapt(ds, target, climatology=None)
    right = ds.tp.to_numpy() * 86400 / 1000
    exec(caught.value.fix, {"ds": ds})
    np.testing.assert_allclose(adapt(ds, target, climatology=None).data.tp, right, rtol=1e-6)


@pytest.mark.parametrize(("kind", "units"), [("water", "m"), ("energy", "W m-2"), ("", "K"), ("", "m s-1"), ("", "1")])
def test_likely_changes_are_all_different(kind, units):
    changes = likely_changes(kind, units)
    assert len({change.describe() for change in changes}) == len(changes) > 5
    for change in changes:
        value = eval(f"2.0 {change.describe()}")
        assert value == pytest.approx(2.0 * change.factor + change.offset, rel=1e-5)
