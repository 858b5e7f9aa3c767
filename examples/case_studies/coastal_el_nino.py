"""Case study: the coastal El Niños of 1983 and 1998 in ERA5 over Peru, against normal years.

    python examples/case_studies/coastal_el_nino.py --out docs/case-studies

Data: ERA5 monthly means 1960 to 2015, 0.25 degrees (u10, v10, t2m, tp): 56 public files of 0.9 MB, which are downloaded
once and verified. The packaged model `era5-peru-monthly-0p25deg` is used as it is.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr
from shared import checked, command_line, loaded, peru, save

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
COAST = (-5.0, -81.0)
COAST_REGION = (-8.0, 0.0, -83.0, -79.0)


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
    print("\nimportance for the states of the coast, January to May")
    for method in ("gate", "occlusion", "gradient"):
        place = {} if method == "gate" else {"region": COAST_REGION}
        values = xfaconv.importance(ds, method=method, season=SEASON, model=model, **place)
        for name in chosen:
            years = list(EVENTS) if name == "events" else normal
            mean = values.sel(time=values.time.dt.year.isin(years)).mean("time")
            print(f"  {method:<10}{name:<8}" + " ".join(f"{v} {float(mean.sel(variable=v)):.3f}" for v in VARIABLES))
    draw_fields(ds, chosen, arguments.out)
    draw_attention(ds, model, chosen, arguments.out)
    checked(ds, COAST, "the coast", SEASON, arguments.samples, model)


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


def draw_attention(ds: xr.Dataset, model: xfaconv.Model, chosen: dict[str, xr.DataArray], out: Path) -> None:
    """Attention of the coast in events and in normal years, and where the two differ."""
    from cartopy import crs as ccrs

    maps = xfaconv.attention(ds, latitude=COAST[0], longitude=COAST[1], model=model)
    warm = maps.full_warmup.to_numpy()
    mean = {name: maps.isel(time=warm & months.to_numpy()).mean("time") for name, months in chosen.items()}
    kept = warm & (chosen["events"] | chosen["normal"]).to_numpy()
    area = cell_area(maps)
    test = analysis.membership_test(
        (maps / area * area.sum()).isel(time=kept), chosen["events"].isel(time=kept), season=SEASON
    )
    print(f"attention: cells that differ from normal years {float(test.significant.mean()):.0%}")
    like = analysis.pattern_correlation(mean["events"] / area, mean["normal"] / area, kind="rank")
    print(f"attention: rank correlation of the mean map in events with that in normal years {float(like):+.2f}")
    figure, axes = plt.subplots(
        1, 3, figsize=(14, 4.6), layout="constrained", subplot_kw={"projection": ccrs.PlateCarree()}
    )
    for ax, name in zip(axes, ("events", "normal"), strict=False):
        title = "Attention, 1983 and 1998" if name == "events" else "Attention, normal years"
        xfaconv.plot_attention(mean[name], ax=ax, base_point={"": COAST}, title=title)
    difference = mean["events"] - mean["normal"]
    xfaconv.plot_attention(
        difference, ax=axes[2], base_point={"": COAST}, stippling=test.significant, title="Events minus normal years"
    )
    figure.suptitle("Attention of the coast at 5°S 81°W, January to May")
    save(out / "coastal_el_nino_attention.png")


if __name__ == "__main__":
    main()
