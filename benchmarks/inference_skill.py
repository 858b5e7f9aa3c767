"""Skill of inferring a hidden box: ``python benchmarks/inference_skill.py --data FOLDER``.

The folder holds the file that the monthly model was trained on; scores are of the unseen years.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import xarray as xr

import xfaconv

FILE = "ncep-oisst-monthly-global-1981-2018.nc"
NORTH_PACIFIC = (20, 80, 140, 250)
REGION = (30, 60, 170, 220)


def row(found: xr.Dataset, method: str, of: str) -> str:
    """Write the explained variance and the correlation of z500 with their intervals."""
    entry = found.sel(prediction=method, variable="z500", of=of)
    cells = [
        f"{float(entry[name]):.2f} ({float(entry[f'{name}_low']):.2f} to {float(entry[f'{name}_high']):.2f})"
        for name in ("explained_variance", "correlation", "explained_variance_difference")
    ]
    return " | ".join(cells)


def main() -> None:
    """Print a row for each season, prediction and kind of score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files")
    ds = xr.open_dataset(parser.parse_args().data / FILE).load()
    print("| season | of | prediction | explained variance | correlation | network minus it |")
    for season in (None, "DJF"):
        found = xfaconv.skill(ds, hide=NORTH_PACIFIC, region=REGION, season=season)
        for of in ("cells", "mean"):
            for method in ("network", "linear"):
                steps = f"{season or 'all'}, {found.attrs['number_of_steps']} steps"
                print(f"| {steps} | {of} | {method} | {row(found, method, of)} |")


if __name__ == "__main__":
    main()
