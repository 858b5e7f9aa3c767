"""Small ERA5-like Datasets in every dialect: one truth, told in many ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cftime
import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import strategies as st

from xfaconv.adapt import InputSpec
from xfaconv.climatology import Climatology
from xfaconv.grid import Grid
from xfaconv.specs import VariableSpec

GRID = Grid.regular(22.5)
STEPS = 9
SPECS = (
    VariableSpec("t2m", "K", "2 metre temperature"),
    VariableSpec("z500", "m2 s-2", "geopotential at 500 hPa", level=500.0),
    VariableSpec("msl", "Pa", "mean sea level pressure"),
    VariableSpec("tp", "m", "total precipitation"),
)
MEANS = {"t2m": 280.0, "z500": 55000.0, "msl": 101000.0, "tp": 0.003}
SPREADS = {"t2m": 10.0, "z500": 1500.0, "msl": 900.0, "tp": 0.001}
ALIASES = {
    "t2m": ("t2m", "2t", "2m_temperature", "tas", "T2M", "TREFHT"),
    "z": ("z", "geopotential", "gh", "zg", "hgt", "geopotential_height"),
    "msl": ("msl", "mean_sea_level_pressure", "psl", "prmsl", "MSL"),
    "tp": ("tp", "total_precipitation", "pr"),
}
UNITS = {
    "t2m": {"K": (1.0, 0.0), "degC": (1.0, -273.15), "Celsius": (1.0, -273.15), "kelvin": (1.0, 0.0)},
    "z": {"m2 s-2": (1.0, 0.0), "m**2 s**-2": (1.0, 0.0), "m": (1 / 9.80665, 0.0), "gpm": (1 / 9.80665, 0.0)},
    "msl": {"Pa": (1.0, 0.0), "hPa": (0.01, 0.0), "mb": (0.01, 0.0), "millibars": (0.01, 0.0)},
    "tp": {"m": (1.0, 0.0), "mm": (1000.0, 0.0), "kg m-2 s-1": (1000.0 / 86400, 0.0), "mm/day": (1000.0, 0.0)},
}


def truth(grid: Grid = GRID, steps: int = STEPS, seed: int = 0) -> dict[str, np.ndarray]:
    """Values in the model's units, canonical order, that float32 holds exactly enough."""
    random = np.random.default_rng(seed)
    return {name: MEANS[name] + SPREADS[name] * random.normal(size=(steps, *grid.shape)) for name in MEANS}


def target(grid: Grid | None = GRID, step: str | None = "1D", *, climatology: bool = True) -> InputSpec:
    """What a small model reads."""
    used = None
    if climatology and grid is not None:
        random = np.random.default_rng(3)
        names = [spec.name for spec in SPECS]
        coefficients = np.stack([0.2 * SPREADS[name] * random.normal(size=(5, *grid.shape)) for name in names])
        coefficients[:, 0] += np.array([MEANS[name] for name in names])[:, None, None]
        scale = np.stack([SPREADS[name] * (1 + random.random(grid.shape)) for name in names])
        used = Climatology(coefficients.astype("f4"), scale.astype("f4"))
    return InputSpec(SPECS, grid, step, used)


@dataclass(frozen=True)
class Dialect:
    """One way to tell the truth."""

    latitude: str = "latitude"
    longitude: str = "longitude"
    time: str = "time"
    level: str = "level"
    names: tuple[tuple[str, str], ...] = (("t2m", "t2m"), ("z", "z"), ("msl", "msl"), ("tp", "tp"))
    units: tuple[tuple[str, str], ...] = (("t2m", "K"), ("z", "m2 s-2"), ("msl", "Pa"), ("tp", "m"))
    level_units: str = "hPa"
    level_in_name: bool = False
    north_to_south: bool = False
    west_of_greenwich: bool = False
    roll: int = 0
    repeated_column: bool = False
    dtype: str = "float64"
    order: tuple[int, int, int] = (0, 1, 2)
    chunks: tuple[int, int, int] | None = None
    extras: bool = False
    single_dims: tuple[str, ...] = ()
    expver: str = ""
    calendar: str = "standard"


DEFAULT = Dialect()


def tell(dialect: Dialect, grid: Grid = GRID, steps: int = STEPS, seed: int = 0) -> xr.Dataset:
    """Tell the truth in a dialect."""
    longitude = np.array(grid.longitude)
    if dialect.west_of_greenwich:
        longitude = np.where(longitude >= 180, longitude - 360, longitude)
    columns = np.argsort(longitude, kind="stable")
    columns = np.roll(columns, dialect.roll)
    longitude = longitude[columns]
    if dialect.repeated_column:
        columns = np.append(columns, columns[0])
        longitude = np.append(longitude, longitude[0] + 360)
    rows = np.arange(grid.shape[0])[:: -1 if dialect.north_to_south else 1]
    variables = {}
    for canonical, values in truth(grid, steps, seed).items():
        variables |= told_variable(dialect, canonical, values[:, rows][:, :, columns])
    pressure = np.array([850.0, 500.0, 250.0]) * (100 if dialect.level_units == "Pa" else 1)
    coords = {
        dialect.latitude: (dialect.latitude, np.array(grid.latitude)[rows], {"units": "degrees_north"}),
        dialect.longitude: (dialect.longitude, longitude, {"units": "degrees_east"}),
        dialect.time: (dialect.time, stamps(steps, dialect.calendar), {"long_name": "time"}),
    }
    if not dialect.level_in_name:
        coords[dialect.level] = (dialect.level, pressure, {"units": dialect.level_units})
    if dialect.expver == "dimension":
        coords["expver"] = [1, 5]
    if dialect.expver == "strings":
        coords["expver"] = (dialect.time, np.array(["0001"] * steps))
    ds = xr.Dataset(variables, coords)
    if dialect.extras:
        ds["unrelated"] = ((dialect.latitude, dialect.longitude), np.ones((len(rows), len(longitude))))
        ds["time_bnds"] = ((dialect.time, "bnds"), np.zeros((steps, 2)))
        ds = ds.assign_coords(land=((dialect.latitude,), np.ones(len(rows))))
        scalars = {"surface": 0.0, "step": np.timedelta64(0, "ns"), "heightAboveGround": 2.0}
        ds = ds.assign_coords({name: value for name, value in scalars.items() if name not in ds.dims})
    if dialect.chunks is not None:
        sizes = dict(zip((dialect.time, dialect.latitude, dialect.longitude), dialect.chunks, strict=True))
        ds = ds.chunk(sizes)
    return ds


def told_variable(dialect: Dialect, canonical: str, values: np.ndarray) -> dict[str, tuple]:
    """One variable (time, latitude, longitude) in a dialect's name, units, dims and dtype."""
    key = "z" if canonical == "z500" else canonical
    units = dict(dialect.units)[key]
    factor, offset = UNITS[key][units]
    order = list(dialect.order)
    told = (values * factor + offset).transpose(order)
    dims = np.array([dialect.time, dialect.latitude, dialect.longitude])[order].tolist()
    name = dict(dialect.names)[key] + ("500" if key == "z" and dialect.level_in_name else "")
    if key == "z" and not dialect.level_in_name:
        told, dims = np.stack([told * 0 + 7.0, told, told * 0 - 3.0], axis=1), [dims[0], dialect.level, *dims[1:]]
    if dialect.expver == "dimension":
        final = np.arange(told.size).reshape(told.shape) % 2 == 0
        told, dims = (
            np.stack([np.where(final, told, np.nan), np.where(final, np.nan, told)], axis=-1),
            [*dims, "expver"],
        )
    for dim in dialect.single_dims:
        told, dims = told[None], [dim, *dims]
    return {name: (dims, told.astype(dialect.dtype), {"units": units})}


def stamps(steps: int, calendar: str = "standard", start: int = 2001) -> np.ndarray:
    """Daily stamps, at noon."""
    if calendar == "standard":
        return pd.date_range(f"{start}-02-25T12", periods=steps, freq="D").to_numpy()
    first = cftime.datetime(start, 2, 25, 12, calendar=calendar)
    return np.array([cftime.num2date(n, f"days since {first.isoformat()}", calendar=calendar) for n in range(steps)])


@st.composite
def era5_like(draw: st.DrawFn) -> Dialect:
    """Any dialect that tells the whole truth in double precision or as float32."""
    level_in_name = draw(st.booleans())
    units = tuple((key, draw(st.sampled_from(sorted(choices)))) for key, choices in UNITS.items())
    names = tuple((key, draw(st.sampled_from(choices))) for key, choices in ALIASES.items())
    chunked = draw(st.booleans())
    repeated = draw(st.booleans())
    return Dialect(
        latitude=draw(st.sampled_from(["latitude", "lat", "nav_lat", "LATITUDE"])),
        longitude=draw(st.sampled_from(["longitude", "lon", "nav_lon", "LON"])),
        time=draw(st.sampled_from(["time", "valid_time", "Time"])),
        level=draw(st.sampled_from(["level", "pressure_level", "isobaricInhPa", "plev"])),
        names=names,
        units=units,
        level_units=draw(st.sampled_from(["hPa", "Pa", "millibars"])),
        level_in_name=level_in_name,
        north_to_south=draw(st.booleans()),
        west_of_greenwich=draw(st.booleans()),
        roll=0 if repeated else draw(st.integers(0, GRID.shape[1] - 1)),
        repeated_column=repeated,
        dtype=draw(st.sampled_from(["float64", "float32"])),
        order=draw(st.permutations((0, 1, 2)).map(tuple)),
        chunks=(draw(st.integers(1, STEPS)), draw(st.integers(2, 8)), draw(st.integers(2, 17))) if chunked else None,
        extras=draw(st.booleans()),
        single_dims=tuple(draw(st.sets(st.sampled_from(["number", "step", "surface"]), max_size=2))),
        expver=draw(st.sampled_from(["", "dimension", "strings"])),
    )


__all__ = ["DEFAULT", "GRID", "SPECS", "STEPS", "Dialect", "era5_like", "replace", "stamps", "target", "tell", "truth"]
