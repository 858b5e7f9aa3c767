"""What the case studies have in common: their data and command line, their figures, and the words of the checks."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import xarray as xr
import yaml

import xfaconv
from xfaconv.download import Remote, fetch


def command_line(description: str | None) -> argparse.Namespace:
    """Read where the data are and where the figures go."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the joined files; else public files, or the sample")
    parser.add_argument("--out", type=Path, default=Path("docs/case-studies"), help="folder of the figures")
    parser.add_argument("--model", help="name or file of a model, instead of the usual one")
    parser.add_argument("--samples", type=int, default=4, help="times that check_attention examines; 0: no checks")
    arguments = parser.parse_args()
    mpl.use("Agg")
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def public_files(name: str) -> list[Path]:
    """Download the public files of a case study, once, and verify their hashes: `sources.yaml` has their addresses."""
    entry = yaml.safe_load((Path(__file__).parent / "sources.yaml").read_text(encoding="utf-8"))[name]
    return [
        fetch(Remote(Path(file).stem, entry["address"] + file, sha256), folder="case-studies", suffix=".nc")
        for file, sha256 in entry["files"].items()
    ]


def peru(folder: Path | None) -> xr.Dataset:
    """Monthly ERA5 fields over Peru, 1960 to 2015: one public file for each year."""
    if folder is not None:
        return xr.open_dataset(folder / "era5-monthly-peru-1960-2015.nc").load()
    years = [xr.open_dataset(path).load() for path in public_files("peru")]
    return xr.concat(years, "time", data_vars="minimal", coords="minimal", compat="override", join="exact")


def north_atlantic(folder: Path | None) -> xr.Dataset:
    """Daily ERA-Interim fields (12 UTC) of the eastern Atlantic and Europe, 2000 to 2009: a file for each variable."""
    if folder is not None:
        return xr.open_dataset(folder / "erai-daily-natl-2000-2009.nc").load()
    joined = xr.merge([xr.open_dataset(path).load() for path in public_files("north-atlantic")], join="exact")
    names = {"t": "t850", "z": "z500"}
    return joined.rename(names).sel(time=slice("2000", "2009")).drop_attrs(deep=False)


def save(path: Path) -> None:
    """Write the figure that was just drawn, and close it."""
    plt.gcf().savefig(path, dpi=110, bbox_inches="tight")
    plt.close("all")
    print(f"wrote {path}")


def loaded(name: str) -> xfaconv.Model:
    """Load a model by name or file, and print which weights it has."""
    model = xfaconv.load_model(name)
    print(
        f"model: {model.card.name}, weights {model.sha256[:12]}, {model.card.grid.shape[0]}x{model.card.grid.shape[1]}"
    )
    return model


def checked(
    ds: xr.Dataset, place: tuple[float, float], name: str, season: str | None, samples: int, model: xfaconv.Model
) -> None:
    """Run all checks on the attention of a place, and print what they say."""
    if not samples:
        return
    report = xfaconv.check_attention(ds, place, season=season, samples=samples, model=model).compute()
    print(f"\nchecks of {name} {place}, {season or 'all seasons'}, {samples} times, {model.card.name}")
    for check in report.check.values:
        part = report.sel(check=check)
        print(f"  {'passed' if part.passed else 'FAILED'} {check}: {part.verdict.item()}")
    print(f"  => {report.claim.item()}")
