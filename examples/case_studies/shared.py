"""What the case studies have in common: their command line, their figures, and the words of the checks."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import xarray as xr

import xfaconv


def command_line(description: str | None) -> argparse.Namespace:
    """Read where the data are and where the figures go."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data")
    parser.add_argument("--out", type=Path, default=Path("docs/case-studies"), help="folder of the figures")
    parser.add_argument("--model", help="name or file of a model, instead of the usual one")
    parser.add_argument("--samples", type=int, default=4, help="times that check_attention looks at; 0: no checks")
    arguments = parser.parse_args()
    mpl.use("Agg")
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


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
