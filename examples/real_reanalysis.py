"""The same calls on real reanalysis: NCEP/OISST (445 months), ERA5 over Peru (fit, then embed), and a simulated year.

    python examples/real_reanalysis.py --data ../shared/data --out examples/output

Every part reads chunked files and writes NetCDF and figures. A part whose data are absent says so, and where they are.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import xarray as xr

import xfaconv

NINO34 = {"nino34": (0.0, -140.0)}
WHERE = {
    "ncep-oisst-monthly-global-1981-2018.nc": (
        "NOAA OISST v2 and NCEP/NCAR Reanalysis 1 monthly means on one 2.5 degree grid: psl.noaa.gov, "
        "datasets noaa.oisst.v2 and ncep.reanalysis (variables sst, z500, z200, v200, t995)"
    ),
    "era5-monthly-peru-1960-2015.nc": (
        "ERA5 monthly averaged data on single levels (u10, v10, t2m, tp), 2N to 20S and 85W to 65W: "
        "cds.climate.copernicus.eu"
    ),
    "amip/amip-daily-5p6deg-2009.nc": (
        "a year of the simulation; xfaconv.tutorial.open_dataset('amip') has a season of it embedded"
    ),
    "indices/oni.csv": "the Oceanic Nino Index of NOAA CPC (season, year, total, anomaly): cpc.ncep.noaa.gov",
}


def present(data: Path, name: str) -> bool:
    """Say whether a file is there, and where to get it if not."""
    if (data / name).is_file():
        return True
    print(f"skipped: {data / name} is absent.\n  Where to get it: {WHERE[name]}")
    return False


def winters(index: pd.DataFrame, threshold: float) -> tuple[list[int], list[int]]:
    """Years (of January) whose December-February index is at least, or at most minus, a threshold [K]."""
    djf = index[index["season"] == "DJF"].set_index("year")["oni_anomaly"]
    return djf.index[djf >= threshold].tolist(), djf.index[djf <= -threshold].tolist()


def winter_mean(maps: xr.DataArray, years: list[int]) -> xr.DataArray:
    """Mean over the December to February of some winters, named by the year of their January."""
    belongs_to = maps["time"].dt.year + (maps["time"].dt.month == 12)
    return maps.sel(time=maps["time"].dt.month.isin([12, 1, 2]) & belongs_to.isin(years)).mean("time", keep_attrs=True)


def ncep_oisst(data: Path, out: Path, stride: int) -> None:
    """Encode all 445 months; composite the attention of the Nino3.4 base point by winters of the ONI table."""
    with xr.open_dataset(data / "ncep-oisst-monthly-global-1981-2018.nc", chunks={}) as ds:
        encoded = xfaconv.encode(ds, base_points=NINO34, stride=stride).compute()
    encoded.to_netcdf(out / "ncep-oisst-encoded.nc")
    print(encoded)
    xfaconv.plot_importance(encoded["importance"])
    save(out / "ncep-oisst-importance.png")
    if not present(data, "indices/oni.csv"):
        return
    inside = pd.read_csv(data / "indices" / "oni.csv").query("1983 <= year <= 2018")
    warm, cold = winters(inside, 1.0)
    attention = encoded["attention"].squeeze()
    panels = xr.concat(
        [winter_mean(attention, warm), winter_mean(attention, cold)],
        pd.Index([f"El Niño ({len(warm)} winters)", f"La Niña ({len(cold)} winters)"], name="winters"),
    )
    panels.to_netcdf(out / "ncep-oisst-attention-djf.nc")
    print(f"El Nino winters {warm}\nLa Nina winters {cold}")
    xfaconv.plot_attention(panels, projection="Robinson", col="winters")
    save(out / "ncep-oisst-attention-djf.png")


def era5_peru(data: Path, out: Path, updates: int) -> None:
    """Train a small network on ERA5 over Peru for a few minutes, then embed the record with it."""
    with xr.open_dataset(data / "era5-monthly-peru-1960-2015.nc", chunks={}) as ds:
        fields = ds[["u10", "v10", "t2m", "tp"]].coarsen(latitude=4, longitude=4, boundary="trim").mean()
        for name in fields.data_vars:
            fields[name].attrs = ds[name].attrs
        fields.attrs = ds.attrs
        model = xfaconv.fit(
            fields, name="peru", updates=updates, window=8, network={"hidden": 24, "bottleneck": 8}, progress=True
        )
        model.save(out / "peru.safetensors")
        encoded = xfaconv.encode(fields, model=model, base_points={"coast": (-8.0, -80.0)}).compute()
    encoded.to_netcdf(out / "peru-encoded.nc")
    print(model)
    for variable, skill in model.card.metrics["forecast"]["lead 1"].items():
        ratio = skill["standardised_rmse_to_damped_persistence"]
        print(f"  {variable}: one month ahead, {ratio:.2f} of the error of damped persistence on held-back years")
    xfaconv.plot_attention(encoded["attention"].squeeze().mean("time", keep_attrs=True))
    save(out / "peru-attention.png")
    xfaconv.plot_importance(encoded["importance"])
    save(out / "peru-importance.png")


def simulated_year(data: Path, out: Path) -> None:
    """Encode a year of the daily SIMULATION."""
    with xr.open_dataset(data / "amip" / "amip-daily-5p6deg-2009.nc", chunks={"time": 366}) as ds:
        encoded = xfaconv.encode(ds, base_points=NINO34).compute()
    encoded.to_netcdf(out / "amip-encoded.nc")
    print(encoded)
    january = encoded["attention"].squeeze().sel(time="2009-01").mean("time", keep_attrs=True)
    xfaconv.plot_attention(january, projection="Robinson")
    save(out / "amip-attention-january.png")


def save(path: Path) -> None:
    """Write the figure that was just drawn, and close it."""
    plt.gcf().savefig(path, dpi=150)
    plt.close()
    print(f"wrote {path}")


def main() -> None:
    """Run the parts whose data are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data")
    parser.add_argument("--out", type=Path, default=Path("examples/output"), help="folder of the results")
    parser.add_argument("--updates", type=int, default=400, help="updates of the Peru network")
    parser.add_argument("--stride", type=int, default=1, help="every n-th row and column of NCEP/OISST")
    parser.add_argument("--only", choices=["ncep-oisst", "peru", "amip"], help="run one part alone")
    arguments = parser.parse_args()
    mpl.use("Agg")
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = {
        "ncep-oisst": ("ncep-oisst-monthly-global-1981-2018.nc", ncep_oisst, (arguments.stride,)),
        "peru": ("era5-monthly-peru-1960-2015.nc", era5_peru, (arguments.updates,)),
        "amip": ("amip/amip-daily-5p6deg-2009.nc", simulated_year, ()),
    }
    for name, (file, run, extra) in parts.items():
        if arguments.only in (None, name) and present(arguments.data, file):
            began = time.perf_counter()
            run(arguments.data, arguments.out, *extra)
            print(f"{name}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
