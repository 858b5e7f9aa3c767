"""Importance of each variable by gates, occlusion and gradients, for the packaged models, as tables or in their cards.

    python scripts/importance_table.py                              the embedded samples, tables in Markdown
    python scripts/importance_table.py --data ../shared/data --write    also the regional models; into the cards

Measured for the embedding of each model. Writing changes the cards alone: weights and their hash stay.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import xarray as xr

import xfaconv
from xfaconv.analysis import importance_for_card
from xfaconv.analysis.explanation.variable_importance import CARD_METHODS

SAMPLES = {"ncep-monthly-2p5deg": "ncep-oisst", "amip-daily-5p6deg": "amip"}
# The years that the regional models were tested on.
FILES = {
    "erai-natl-daily-1p5deg": ("erai-daily-natl-2000-2009.nc", slice("2008-02", None)),
    "era5-peru-monthly-0p25deg": ("era5-monthly-peru-1960-2015.nc", slice("2005", None)),
}
WEIGHTS = Path(xfaconv.__file__).parent / "models" / "weights"


def fields_for(name: str, data: Path | None) -> xr.Dataset | None:
    """Give the fields that a model is asked about; None where they are not at hand."""
    if name in SAMPLES:
        return xfaconv.tutorial.open_dataset(SAMPLES[name])
    if name not in FILES or data is None:
        return None
    file, years = FILES[name]
    return xr.open_dataset(data / file).sel(time=years)


def main() -> None:
    """Measure, print, and write where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models to measure, by default all")
    parser.add_argument("--samples", type=int, default=6, help="times that are looked at")
    parser.add_argument("--data", type=Path, help="folder with the fields of the regional models")
    parser.add_argument("--write", action="store_true", help="write the numbers into the cards of the packaged models")
    arguments = parser.parse_args()
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        name = path.stem
        if arguments.names and name not in arguments.names:
            continue
        fields = fields_for(name, arguments.data)
        if fields is None:
            print(f"\n{name}: no fields at hand")
            continue
        model = xfaconv.load_model(name)
        found = importance_for_card(fields, model, samples=arguments.samples)
        variables = list(found["gate"])
        print(f"\n{name}, {arguments.samples} times\n")
        print("| method | " + " | ".join(variables) + " |\n|---|" + "---|" * len(variables))
        for method in CARD_METHODS:
            print(f"| {method} | " + " | ".join(f"{found[method][variable]:.2f}" for variable in variables) + " |")
        print()
        for pair, value in found["rank_correlation"].items():
            print(f"rank correlation of {pair}: {value:+.2f}", flush=True)
        if arguments.write:
            entry = {"command": "python scripts/importance_table.py --data ../shared/data --write", **found}
            model.updated(metrics={**model.card.metrics, "importance": entry}).save(path)


if __name__ == "__main__":
    main()
