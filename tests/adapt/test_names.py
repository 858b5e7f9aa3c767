"""Tables of names, units and levels: consistent in themselves, and read as people mean them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.adapt.dialects import GRID, stamps
from xfaconv.adapt import InputSpec, adapt, recognise
from xfaconv.errors import CoordinateError, VariableError
from xfaconv.grid import Grid
from xfaconv.names.tables import entries, entry_named, identity, read_table, split_level
from xfaconv.names.units import conversion, parse_units
from xfaconv.specs import VariableSpec


def one(name, values=1.0, coords=None, **attributes):
    """A Dataset with one field."""
    shape = (2, *GRID.shape)
    grid = {"time": stamps(2), "latitude": list(GRID.latitude), "longitude": list(GRID.longitude)}
    data = np.broadcast_to(np.asarray(values, dtype="f8"), shape)
    return xr.Dataset({name: (("time", "latitude", "longitude"), data, attributes)}, {**grid, **(coords or {})})


def found(ds):
    """Names that are available, and the rule of the first."""
    recognition = recognise(ds)
    rule = recognition.variables[0].rule if recognition.variables else ""
    return recognition.available, rule


def read(ds, name, units, level=None, **options):
    """Physical values of one variable."""
    target = InputSpec((VariableSpec(name, units, name, level),), None, "1D")
    return adapt(ds, target, climatology=None, **options).data[name]


def test_the_table_is_large_and_every_name_means_one_variable():
    names = [name for entry in entries().values() for name in entry.names]
    assert len(entries()) >= 40
    assert len(names) == len(set(names))
    assert all(parse_units(entry.units) is not None for entry in entries().values())
    assert all(entries()[e.opposite].opposite == e.key for e in entries().values() if e.opposite)


@pytest.mark.parametrize("words", ["streamline curvature at 500 hPa", "unknown", ""])
def test_a_long_name_that_the_table_lacks_is_no_variable_and_no_failure(words):
    assert found(one("mystery", long_name=words)) == (frozenset(), "")


def test_every_spelling_of_units_is_read():
    spellings = read_table("units")["spellings"]
    assert all(isinstance(spelling, str) for spelling in spellings)
    assert [spelling for spelling in spellings if parse_units(spelling) is None] == []


def test_no_name_of_a_variable_is_a_name_of_a_coordinate_that_fields_have():
    table = read_table("coordinates")["roles"]
    coordinates = {name for role in ("latitude", "longitude", "time", "member") for name in table[role]["names"]}
    assert not coordinates & {name for entry in entries().values() for name in entry.names}


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("2t", ("t2m", None)),
        ("2m_temperature", ("t2m", None)),
        ("tas", ("t2m", None)),
        ("T2M", ("t2m", None)),
        ("10m_u_component_of_wind", ("u10", None)),
        ("mean_sea_level_pressure", ("msl", None)),
        ("tos", ("sst", None)),
        ("rlut", ("olr", None)),
        ("z500", ("z", 500.0)),
        ("Z_500hPa", ("z", 500.0)),
        ("zg500", ("z", 500.0)),
        ("zg50000", ("z", 500.0)),
        ("geopotential_500", ("z", 500.0)),
        ("geopotential_height_500", ("z", 500.0)),
        ("500hPa_geopotential", ("z", 500.0)),
        ("geopotential_at_500hPa", ("z", 500.0)),
        ("hgt500", ("z", 500.0)),
        ("ta850", ("t", 850.0)),
        ("hus_850", ("q", 850.0)),
        ("u10", ("u10", None)),
        ("u100", ("u100", None)),
        ("t995", ("t995", None)),
        ("Z3", ("z", None)),
    ],
)
def test_names_mean_what_people_mean(name, meaning):
    assert identity(name) == meaning


@pytest.mark.parametrize(
    "name", ["elevation500", "temperature_anomaly_850x", "t1", "sst_err", "z50001", "layer10", "500", "t2000"]
)
def test_names_that_mean_nothing_are_not_guessed(name):
    assert split_level(name) is None
    assert entry_named(name) is None


@pytest.mark.parametrize(
    ("ds", "available", "rule"),
    [
        (one("x", GRIB_shortName="2t"), {"t2m"}, "GRIB key"),
        (one("x", GRIB_cfVarName="t2m"), {"t2m"}, "GRIB key"),
        (one("x", GRIB_paramId=167), {"t2m"}, "GRIB key"),
        (one("x", standard_name="air_pressure_at_mean_sea_level"), {"msl"}, "standard_name"),
        (one("x", 1, {"height": 10.0}, standard_name="eastward_wind"), {"u10"}, "standard_name"),
        (one("x", 1, {"plev": 85000.0}, standard_name="eastward_wind"), {"u850"}, "standard_name"),
        (one("ua", 1, {"plev": ((), 85000.0, {"units": "Pa"})}, standard_name="eastward_wind"), {"u850"}, "known name"),
        (
            one("x", 1, {"plev": ((), 85000.0, {"units": "Pa"})}, standard_name="eastward_wind"),
            {"u850"},
            "standard_name",
        ),
        (one("x", long_name="2 metre temperature"), {"t2m"}, "long_name"),
        (one("x", long_name="Geopotential height at 500 hPa"), {"z500"}, "long_name"),
        (one("hgt", long_name="Geopotential height at 500 hPa"), {"z500"}, "known name"),
        (one("u100", long_name="100 metre U wind component"), {"u100"}, "name"),
        (one("u100", long_name="U wind at 100 hPa"), {"u100"}, "name with level"),
        (one("u10", 1, {"level": ((), 500.0, {"units": "hPa"})}), {"u10"}, "name"),
        (one("air", level_desc="0.995 sigma"), {"t995"}, "known name"),
        (one("air"), {"t"}, "known name"),
        (one("tasmax", standard_name="air_temperature", cell_methods="time: maximum"), {"mx2t"}, "known name"),
        (one("x", 1, {"height": 2.0}, standard_name="air_temperature", cell_methods="time: maximum"), set(), ""),
        (one("x", standard_name="air_temperature"), set(), ""),
        (one("x", standard_name="geopotential_height"), set(), ""),
        (one("x", standard_name="sea_surface_temperature standard_error"), set(), ""),
    ],
)
def test_rules(ds, available, rule):
    assert found(ds) == (available, rule)


def test_the_wind_at_100_hpa_is_not_the_wind_at_100_m():
    metres, pressure = one("u100", units="m s-1"), one("u100", units="m s-1", long_name="U wind at 100 hPa")
    assert read(metres, "u100", "m s-1").notnull().all()
    assert read(pressure, "u100", "m s-1", level=100.0).notnull().all()
    with pytest.raises(VariableError, match="the data lack 'u100'"):
        read(metres, "u100", "m s-1", level=100.0)
    with pytest.raises(VariableError, match="the data lack 'u100'"):
        read(pressure, "u100", "m s-1")


def test_a_shared_standard_name_confuses_nobody():
    both = one("z500", 5500, units="m", standard_name="geopotential_height")
    both["z200"] = both.z500 * 2
    both.z200.attrs.update(units="m", standard_name="geopotential_height")
    assert float(read(both, "z200", "m").max()) == 11000
    with pytest.raises(VariableError, match="the data lack 'z850'"):
        read(both, "z850", "m")


def test_the_models_own_name_beats_an_alias():
    ds = one("tas", 1, units="K")
    ds["t2m"] = ds.tas * 2
    ds.t2m.attrs["units"] = "K"
    assert float(read(ds, "t2m", "K").max()) == 2
    assert float(read(ds, "t2m", "K", variables={"t2m": "tas"}).max()) == 1


def test_a_name_beats_attributes():
    ds = one("tas", 1, units="K")
    ds["other"] = (ds.tas * 2).assign_attrs(units="K", GRIB_shortName="2t")
    assert float(read(ds, "t2m", "K").max()) == 1


def test_radiation_counted_downwards_changes_its_sign():
    ds = one("mtnlwrf", -240.0, units="W m**-2")
    assert float(read(ds, "olr", "W m-2").mean()) == 240
    both = ds.assign(olr=(-ds.mtnlwrf + 1).assign_attrs(units="W m-2"))
    assert float(read(both, "olr", "W m-2").mean()) == 241


def test_a_model_with_a_variable_of_its_own():
    ds = one("soil_carbon", 3.0, units="kg m-2")
    assert float(read(ds, "soil_carbon", "kg m-2").mean()) == 3


def test_a_name_that_the_caller_gives_is_converted_like_any_other():
    ds = one("my_height", 5500.0, units="m")
    assert float(read(ds, "z500", "m2 s-2", variables={"z500": "my_height"}).max()) == pytest.approx(5500 * 9.80665)


def test_axes_in_degrees_are_latitude_and_longitude():
    ds = one("t2m", units="K").rename(latitude="south_to_north", longitude="eastward")
    with pytest.raises(CoordinateError, match="no latitude was found"):
        read(ds.drop_attrs(deep=True).assign(t2m=ds.t2m.variable), "t2m", "K")
    ds.south_to_north.attrs.update(axis="Y", units="degrees")
    ds.eastward.attrs.update(axis="X", units="degrees")
    assert read(ds, "t2m", "K").sizes["latitude"] == GRID.shape[0]


def test_amounts_are_said_to_be_read_as_amounts_of_a_step():
    target = InputSpec((VariableSpec("tp", "m", "total precipitation"),), None, "1D")
    steps = adapt(one("tp", units="m"), target, climatology=None).notes
    assert "tp: read as the amount of each step" in steps


def test_the_same_call_gives_the_same_tasks():
    ds = one("t2m", units="K").chunk(time=1, latitude=3)
    for climatology in ("data", None):
        target = InputSpec((VariableSpec("t2m", "K", ""),), Grid.regular(45.0), "1D")
        if climatology == "data":
            ds = ds.isel(time=[0] * 800).assign_coords(time=stamps(800)).chunk(time=100)
        names = {adapt(ds, target, climatology=climatology).data.t2m.data.name for _ in range(2)}
        assert len(names) == 1


def test_levels_under_an_unknown_name_are_told_by_their_units():
    levels = xr.Dataset(coords={"lv_ISBL1": ("lv_ISBL1", [250.0, 500.0], {"units": "hPa"})})
    ds = (one("hgt", units="m") * levels.lv_ISBL1).assign_coords(lv_ISBL1=levels.lv_ISBL1)
    ds.hgt.attrs["units"] = "m"
    assert float(read(ds, "z500", "m").mean()) == 500


def test_levels_are_chosen_by_value_in_pascal_too():
    levels = xr.Dataset(coords={"plev": ("plev", [100000.0, 50000.0, 1000.0])})
    ds = (one("zg", units="m") * (levels.plev / 1000)).assign_coords(plev=levels.plev)
    ds.zg.attrs["units"] = "m"
    assert float(read(ds, "z500", "m").mean()) == 50
    assert float(read(ds, "z10", "m").mean()) == 1


@pytest.mark.parametrize(
    ("found", "wanted", "key", "step", "value", "result"),
    [
        ("degC", "K", "t2m", None, 20.0, 293.15),
        ("degF", "K", "t2m", None, 32.0, 273.15),
        ("K", "degC", "t2m", None, 273.15, 0.0),
        ("hPa", "Pa", "msl", None, 1013.25, 101325.0),
        ("mb", "Pa", "msl", None, 1000.0, 100000.0),
        ("kPa", "Pa", "msl", None, 100.0, 100000.0),
        ("gpm", "m2 s-2", "z", None, 100.0, 980.665),
        ("dam", "m2 s-2", "z", None, 550.0, 5500 * 9.80665),
        ("gpdam", "m", "z", None, 550.0, 5500.0),
        ("m2/s2", "m", "z", None, 980.665, 100.0),
        ("J kg-1", "m2 s-2", "z", None, 5.0, 5.0),
        ("g/kg", "kg kg-1", "q", None, 8.0, 0.008),
        ("1", "kg kg-1", "q", None, 0.008, 0.008),
        ("%", "1", "tcc", None, 50.0, 0.5),
        ("mm", "m", "tp", "1D", 3.0, 0.003),
        ("kg m-2", "m", "tp", "1D", 3.0, 0.003),
        ("kg m-2 s-1", "m", "tp", "1D", 1 / 86400, 0.001),
        ("kg m-2 s-1", "m", "tp", "6h", 1 / 21600, 0.001),
        ("mm/day", "m", "tp", "1D", 5.0, 0.005),
        ("m s-1", "mm/day", "tp", "1M", 1e-3 / 86400, 1.0),
        ("kg m-2", "mm", "tcwv", None, 30.0, 30.0),
        ("knots", "m s-1", "u10", None, 1.0, 1852 / 3600),
        ("m s**-1", "m s-1", "u10", None, 7.0, 7.0),
        ("W m**-2", "W m-2", "olr", None, 7.0, 7.0),
    ],
)
def test_conversions(found, wanted, key, step, value, result):
    change = conversion("x", found, wanted, entries()[key], step)
    assert value * change.factor + change.offset == pytest.approx(result, rel=1e-9, abs=1e-9)
    assert bool(change.note) == change.changes or "water" in change.note


def test_the_applications_own_registry_of_units_is_left_alone():
    pint = pytest.importorskip("pint")
    before = pint.get_application_registry()
    parse_units("K")
    assert pint.get_application_registry() is before or pint.get_application_registry() == before
