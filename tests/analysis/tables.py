"""Readers for the published index tables, whose fixed-width columns run into each other where a value is missing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

TELECONNECTIONS = ("nao", "ea", "wp", "epnp", "pna", "eawr", "sca", "tnh", "pol", "pt")


def _month(year: str, month: str | int) -> np.datetime64:
    return np.datetime64(f"{int(year)}-{int(month):02d}-01", "ns")


def _series(times: list[np.datetime64], values: list[float], missing: float) -> xr.DataArray:
    data = np.array(values)
    data[data <= missing] = np.nan
    return xr.DataArray(data, {"time": np.array(times)}, ("time",))


def teleconnection(folder: Path, name: str) -> xr.DataArray:
    """One column of CPC's northern hemisphere table, cut by position, since -99.90 touches its neighbour."""
    column = TELECONNECTIONS.index(name)
    times, values = [], []
    for line in (folder / "cpc-tele_index.nh").read_text().splitlines():
        if re.match(r"\d{4} [ 1]\d ", line):
            times.append(_month(line[:4], line[5:7]))
            values.append(float(line[8 + 6 * column : 14 + 6 * column]))
    return _series(times, values, -99.0)


def nino(folder: Path, name: str) -> xr.DataArray:
    """Anomaly column of CPC's ERSSTv5 table."""
    column = {"nino12": 3, "nino3": 5, "nino4": 7, "nino34": 9}[name]
    rows = [line.split() for line in (folder / "cpc-ersst5.nino.mth.91-20.ascii").read_text().splitlines()[2:]]
    rows = [row for row in rows if row]
    return _series([_month(row[0], row[1]) for row in rows], [float(row[column]) for row in rows], -99.0)


def soi(folder: Path) -> xr.DataArray:
    """PSL's table of the Southern Oscillation Index: a year and twelve months in each row."""
    times, values = [], []
    for line in (folder / "psl-soi.data").read_text().splitlines():
        parts = line.split()
        if len(parts) == 13 and re.fullmatch(r"\d{4}", parts[0]):
            times += [_month(parts[0], month) for month in range(1, 13)]
            values += [float(value) for value in parts[1:]]
    return _series(times, values, -99.0)


def correlation(x: xr.DataArray, y: xr.DataArray, months: tuple[int, ...] = tuple(range(1, 13))) -> float:
    """Pearson correlation over the months that both have."""
    x, y = xr.align(x, y, join="inner")
    chosen = np.isin(x.time.dt.month, months)
    both = chosen & x.notnull().values & y.notnull().values
    assert both.sum() >= 30
    return float(np.corrcoef(x.values[both], y.values[both])[0, 1])
