"""Case study: a blocked day over western Europe, forecast from the day before in the ERA-Interim domain alone.

    python examples/case_studies/blocking.py --out docs/case-studies

Data: ERA-Interim, daily at 12 UTC, 30-60N and 20W-14.5E, 2000 to 2009 (msl, z500, t850): three public files of 4 MB,
which are downloaded once and verified. The packaged model `erai-natl-daily-1p5deg` is used as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from shared import answered, command_line, loaded, north_atlantic

from xfaconv import analysis

MODEL = "erai-natl-daily-1p5deg"
TARGET = (51, 60, -10, 10)
SEASON = "DJF"


def blocked(height: xr.DataArray) -> xr.DataArray:
    """Mark the days on which 500 hPa height over 10W-10E is higher at 60N than at 40.5N: the westerlies are reversed.

    Of the two conditions of Tibaldi and Molteni (1990) this is the one that the domain has: it ends at 60N.
    """
    along = height.sel(longitude=slice(-10, 10)).mean("longitude")
    return along.sel(latitude=60.0, drop=True) > along.sel(latitude=40.5, drop=True)


def questions(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Ask for tomorrow's height of the northern half of the domain: blocked days against the others."""
    tomorrow = blocked(ds.z500).shift(time=-1, fill_value=False)
    winter = ds.time.dt.month.isin([12, 1, 2])
    events = {
        "blocked tomorrow": ds.time.values[(tomorrow & winter).values],
        "not blocked tomorrow": ds.time.values[(~tomorrow & winter).values],
    }
    # The simplest rival: the value of today.
    today = analysis.anomalies(ds.z500.sel(latitude=slice(60, 51), longitude=slice(-10, 10)))
    today = today.weighted(np.cos(np.deg2rad(today.latitude))).mean(["latitude", "longitude"])
    return {
        "Height of a blocked day, forecast one day ahead, December to February": {
            "target": TARGET,
            "variable": "z500",
            "lead": 1,
            "season": SEASON,
            "events": events,
            "index": today,
            "regions": {
                "west of 10W": (30, 60, -20, -11),
                "south of 50N": (30, 50, -10.5, 14.5),
                "the target and its surroundings": (50.5, 60, -10.5, 14.5),
            },
            "stride": 1,
            "lags": (0, 1, 2, 3),
        }
    }


def main() -> None:
    """Make the figure, print the numbers and write them into the page."""
    arguments = command_line(__doc__)
    ds = north_atlantic(arguments.data)
    days = blocked(ds.z500) & ds.time.dt.month.isin([12, 1, 2])
    print(f"blocked days from December to February: {int(days.sum())}")
    answered("blocking", ds, questions(ds), loaded(arguments.model or MODEL), arguments)


if __name__ == "__main__":
    main()
