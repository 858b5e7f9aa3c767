"""Case study: attention of Niño 3.4 and of two centres of the Pacific-North American pattern in ENSO winters.

    python examples/case_studies/enso.py --out enso                            the embedded sample, 2007 to 2018
    python examples/case_studies/enso.py --data FOLDER --out docs/case-studies       the whole record of the page

Data: NOAA OISST v2 and NCEP/NCAR Reanalysis 1 monthly means, 2.5 degrees, December 1981 to December 2018; the page says
how the file is made of public ones. The packaged model `ncep-monthly-2p5deg` is used as it is.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from cartopy import crs as ccrs
from shared import checked, command_line, loaded, save

import xfaconv
from xfaconv import analysis
from xfaconv.analysis.axes import cell_area, distance_from

FILE = "ncep-oisst-monthly-global-1981-2018.nc"
MODEL = "ncep-monthly-2p5deg"
PLACES = {"Niño 3.4": (0.0, -140.0), "Aleutian low": (45.0, -165.0), "western Canada": (55.0, -115.0)}
TROPICAL_PACIFIC = (-10.0, 10.0, 160.0, 270.0)
THRESHOLD = 1.0
NEAR = 15.0


def winters(index: xr.DataArray) -> dict[str, xr.DataArray]:
    """Mark December to February of El Niño, La Niña and other winters by the mean index [K] of the winter."""
    year = index.time.dt.year + (index.time.dt.month == 12)
    winter = index.time.dt.month.isin([12, 1, 2])
    mean = index.where(winter).groupby(year.rename("year")).mean().sel(year=year)
    return {
        "El Niño": winter & (mean >= THRESHOLD),
        "La Niña": winter & (mean <= -THRESHOLD),
        "other": winter & (abs(mean) < THRESHOLD),
    }


def density(maps: xr.DataArray) -> xr.DataArray:
    """Attention per area, 1 being no preference."""
    area = cell_area(maps)
    return maps / area * area.sum()


def main() -> None:
    """Make the figures and print the numbers of the page."""
    arguments = command_line(__doc__)
    ds = xr.open_dataset(arguments.data / FILE) if arguments.data else xfaconv.tutorial.open_dataset("ncep-oisst")
    ds = ds.load()
    model = loaded(arguments.model or MODEL)
    index = analysis.nino34(ds)
    phases = winters(index)
    for name, months in phases.items():
        years = np.unique((ds.time.dt.year + (ds.time.dt.month == 12)).values[months.values])
        print(f"{name}: {len(years)} winters, January of {' '.join(map(str, years))}")

    maps = xfaconv.attention(ds, base_points=PLACES, model=model)
    warm = maps.full_warmup.values
    inside = cell_area(maps, TROPICAL_PACIFIC)
    uniform = float(inside.sum() / (4 * np.pi))
    print(f"\nshare of attention in the tropical Pacific {TROPICAL_PACIFIC}, uniform {uniform:.3f}")
    fraction = inside / cell_area(maps)
    share = (maps * fraction).sum(["lat", "lon"])
    for place in PLACES:
        values = {
            name: float(share.sel(base_point=place)[warm & months.values].mean()) for name, months in phases.items()
        }
        print(f"  {place:<15} " + "  ".join(f"{name} {value:.3f}" for name, value in values.items()))

    draw_nino(ds, maps, index, phases, warm, arguments.out)
    draw_arc(ds, maps, index, phases, warm, arguments.out)
    for place in ("Niño 3.4", "Aleutian low"):
        checked(ds, PLACES[place], place, "DJF", arguments.samples, model)


def draw_nino(
    ds: xr.Dataset,
    maps: xr.DataArray,
    index: xr.DataArray,
    phases: dict[str, xr.DataArray],
    warm: np.ndarray,
    out: Path,
) -> None:
    """Attention from Niño 3.4 in both phases, their difference with its significance, and what correlates."""
    nino = maps.sel(base_point="Niño 3.4")
    mean = {name: nino.isel(time=np.flatnonzero(warm & months.values)).mean("time") for name, months in phases.items()}
    winter = np.flatnonzero(warm & (phases["El Niño"] | phases["La Niña"]).values)
    test = analysis.membership_test(density(nino.isel(time=winter)), phases["El Niño"][winter])
    found = analysis.correlation_map(ds.z200, index, season="DJF")
    far = distance_from(nino, PLACES["Niño 3.4"]) > NEAR
    print("\nNiño 3.4, December to February")
    for name, one in mean.items():
        like = analysis.pattern_correlation(density(one), abs(found.correlation), kind="rank", where=far)
        print(f"  {name}: rank correlation of attention with the size of the correlation of z200 {float(like):+.2f}")
    differing = float(test.significant.mean())
    print(f"  cells in which El Niño and La Niña attention differ (false discovery rate 5%): {differing:.1%}")
    print(f"  cells in which z200 correlates with Niño 3.4 (same): {float(found.significant.mean()):.1%}")
    projection = ccrs.Robinson(central_longitude=-160)
    figure, axes = plt.subplots(2, 2, figsize=(13, 7), layout="constrained", subplot_kw={"projection": projection})
    marked = {"": PLACES["Niño 3.4"]}
    for ax, name in zip(axes[0], ("El Niño", "La Niña"), strict=True):
        xfaconv.plot_attention(mean[name], ax=ax, base_point=marked, vmin=0, vmax=4, title=f"Attention, {name} winters")
    difference = mean["El Niño"] - mean["La Niña"]
    xfaconv.plot_attention(
        difference, ax=axes[1, 0], base_point=marked, stippling=test.significant, title="El Niño minus La Niña"
    )
    xfaconv.plot_correlation(
        found.correlation,
        ax=axes[1, 1],
        base_point=marked,
        stippling=found.significant,
        title="Correlation of 200 hPa height with Niño 3.4, DJF",
    )
    figure.suptitle("Attention of Niño 3.4, and correlation with it, December to February")
    save(out / "enso_nino34.png")


def draw_arc(
    ds: xr.Dataset,
    maps: xr.DataArray,
    index: xr.DataArray,
    phases: dict[str, xr.DataArray],
    warm: np.ndarray,
    out: Path,
) -> None:
    """Attention from the two centres of the Pacific-North American pattern, beside their own correlation maps."""
    winter = np.flatnonzero(warm & (phases["El Niño"] | phases["La Niña"] | phases["other"]).values)
    pacific = analysis.pna(ds)
    joined = xr.align(index, pacific, join="inner")
    months = joined[0].time.dt.month.isin([12, 1, 2])
    together = float(xr.corr(joined[0][months], joined[1][months]))
    print(f"\ncorrelation of Niño 3.4 with the PNA index, DJF: {together:+.2f}")
    projection = ccrs.Robinson(central_longitude=-160)
    figure, axes = plt.subplots(2, 2, figsize=(13, 7), layout="constrained", subplot_kw={"projection": projection})
    for row, place in zip(axes, ("Aleutian low", "western Canada"), strict=True):
        mean = maps.sel(base_point=place).isel(time=winter).mean("time")
        found = analysis.correlation_map(ds.z500, PLACES[place], season="DJF")
        far = distance_from(mean, PLACES[place]) > NEAR
        like = analysis.pattern_correlation(density(mean), abs(found.correlation), kind="rank", where=far)
        print(f"{place}: rank correlation of attention with the size of the correlation of z500 {float(like):+.2f}")
        marked = {"": PLACES[place]}
        xfaconv.plot_attention(mean, ax=row[0], base_point=marked, vmin=0, vmax=4, title=f"Attention of {place}, DJF")
        xfaconv.plot_correlation(
            found.correlation,
            ax=row[1],
            base_point=marked,
            stippling=found.significant,
            title=f"Correlation of 500 hPa height with {place}",
        )
    figure.suptitle("Two centres of the Pacific-North American pattern, December to February")
    save(out / "enso_pna.png")


if __name__ == "__main__":
    main()
