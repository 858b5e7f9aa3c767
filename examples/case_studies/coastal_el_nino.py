"""Case study: the coastal El Niños of 1983 and 1998 in ERA5 over Peru, against normal years.

    python examples/case_studies/coastal_el_nino.py --out docs/case-studies

Data: ERA5 monthly means 1960 to 2015, 0.25 degrees (u10, v10, t2m, tp): 56 public files of 0.9 MB, which are downloaded
once and verified. The packaged model `era5-peru-monthly-0p25deg` is used as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr
from shared import answered, command_line, loaded, peru, save

import xfaconv
from xfaconv import analysis
from xfaconv.analysis.axes import cell_area

MODEL = "era5-peru-monthly-0p25deg"
VARIABLES = ["u10", "v10", "t2m", "tp"]
SEASON = "JFMAM"
EVENTS = (1983, 1998)
NORMAL = 0.5
# Years from 1961 whose January to May Niño 1+2 of CPC (ERSSTv5) lies within half a degree of its mean of 1991-2020.
NORMAL_YEARS = [
    1961, 1965, 1969, 1972, 1973, 1976, 1977, 1979, 1980, 1989, 1990, 1991,
    1997, 2000, 2001, 2002, 2003, 2008, 2009, 2010, 2011, 2012, 2014, 2015,
]  # fmt: skip
COAST_REGION = (-8.0, 0.0, -83.0, -79.0)
REGIONS = {"sea to the west": (-20, 2, -85, -83.1), "north": (0.1, 2, -83, -65), "east": (-8, 0, -78.9, -65)}
# The network was trained mostly at this grid stride and at 6.
STRIDE = 3


def normal_years(table: Path, first: int, last: int) -> list[int]:
    """Find them in CPC's table (https://www.cpc.ncep.noaa.gov/data/indices/ersst5.nino.mth.91-20.ascii)."""
    index = pd.read_csv(table, sep=r"\s+", skiprows=1)
    season = index[index["MON"] <= 5].groupby("YR").mean()
    anomaly = season["ANOM"]
    chosen = anomaly[(anomaly.abs() < NORMAL) & (anomaly.index >= first) & (anomaly.index <= last)]
    return [int(year) for year in chosen.index]


def distances(embedding: xr.DataArray, normal: list[int]) -> pd.Series:
    """Distance of each January-May mean from that of normal years, in standard deviations of theirs along each axis."""
    season = embedding.sel(time=embedding.time.dt.month <= 5)
    mean = season.groupby("time.year").mean("time")
    known = mean.sel(year=normal)
    apart = (mean - known.mean("year")) / known.std("year")
    return ((apart**2).mean(embedding.dims[-1]) ** 0.5).to_series().sort_values(ascending=False)


def main() -> None:
    """Make the figures and print the numbers of the page."""
    arguments = command_line(__doc__)
    ds = peru(arguments.data)[VARIABLES]
    model = loaded(arguments.model or MODEL)
    normal = NORMAL_YEARS
    print(f"normal years ({len(normal)}): {' '.join(map(str, normal))}")

    embedding = xfaconv.embed(ds, model=model)
    warm = embedding.full_warmup.to_numpy()
    far = {"embedding": distances(embedding.isel(time=warm), normal)}
    fields = xr.Dataset({name: analysis.standardised(ds[name]) for name in VARIABLES})
    area = cell_area(ds)
    plain = fields.weighted(area).mean(["latitude", "longitude"]).to_dataarray("variable").transpose("time", "variable")
    far["area means of the four variables"] = distances(plain.isel(time=warm), normal)
    print("\nyears farthest from normal, January to May")
    for name, ranked in far.items():
        print(f"  {name}: " + ", ".join(f"{year} ({value:.1f})" for year, value in ranked.head(6).items()))
        for year in EVENTS:
            print(f"    {year} is number {list(ranked.index).index(year) + 1} of {len(ranked)}")

    season = ds.time.dt.month <= 5
    chosen = {"events": season & ds.time.dt.year.isin(EVENTS), "normal": season & ds.time.dt.year.isin(normal)}
    draw_fields(ds, chosen, arguments.out)
    answered("coastal-el-nino", ds, questions(normal), model, arguments)


def questions(normal: list[int]) -> dict[str, dict[str, Any]]:
    """Ask for the hidden coast, inferred from the rest of the domain, and for its rain a month ahead."""
    years = {"El Niño (1983, 1998)": EVENTS, "normal years": tuple(normal)}
    about: dict[str, Any] = {"target": COAST_REGION, "stride": STRIDE, "regions": REGIONS}
    inferred = about | {"hide": COAST_REGION, "season": SEASON, "events": _months(years, range(1, 6))}
    # A season is that of the steps that forecasts start from.
    ahead = about | {"lead": 1, "season": "DJFMA", "events": _months(years, range(5))}
    ahead["regions"] = {"the coast itself": COAST_REGION, **REGIONS}
    return {
        "Temperature of the coast, inferred, January to May": inferred | {"variable": "t2m"},
        "Rain of the coast, inferred, January to May": inferred | {"variable": "tp"},
        "Rain of the coast, forecast one month ahead, January to May": ahead | {"variable": "tp"},
    }


def _months(years: dict[str, tuple[int, ...]], numbers: range) -> dict[str, list[str]]:
    """Months of some years, 0 for December before."""
    return {
        name: [f"{year - (number == 0)}-{number or 12:02d}" for year in chosen for number in numbers]
        for name, chosen in years.items()
    }


def draw_fields(ds: xr.Dataset, chosen: dict[str, xr.DataArray], out: Path) -> None:
    """Anomalies of temperature and rain in both events, against normal years, with significance."""
    from cartopy import crs as ccrs

    kept = (chosen["events"] | chosen["normal"]).to_numpy()
    axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained", subplot_kw={"projection": ccrs.PlateCarree()})[1]
    for ax, name, unit, factor in zip(axes, ("t2m", "tp"), ("K", "mm/day"), (1.0, 1000.0), strict=True):
        field = (analysis.anomalies(ds[name]) * factor).assign_attrs(units=unit, long_name=f"anomaly of {name}")
        test = analysis.membership_test(field.isel(time=kept), chosen["events"].isel(time=kept), season=SEASON)
        difference = test["mean"] - field.isel(time=chosen["normal"].to_numpy()).mean("time")
        difference.attrs = {"units": unit, "long_name": f"{name}, events less normal"}
        title = f"{name} [{unit}], January-May 1983 and 1998"
        xfaconv.plot_correlation(difference, ax=ax, base_point=False, stippling=test.significant, title=title)
        print(f"{name}: cells that differ from normal years {float(test.significant.mean()):.0%}")
    save(out / "coastal_el_nino_fields.png")


if __name__ == "__main__":
    main()
