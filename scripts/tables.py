"""Numbers that stand in pages: the README's table of models, importance by each method, what other packages do.

    python scripts/tables.py models [--check]       the table of models in the README; --check only compares
    python scripts/tables.py importance             importance on the embedded samples, printed in Markdown
    python scripts/tables.py importance --data ../shared/data --write    also the regional models, and into the cards
    python scripts/tables.py comparison             what other packages do, for docs/explanation/comparison.md

Importance is measured for the embedding of each model. Writing changes the cards alone: weights and their hash stay.
The comparison needs xeofs, xbatcher and Keras (``pip install ".[bench]"``); its data are random with a fixed seed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xfaconv
from xfaconv.analysis import importance_for_card
from xfaconv.analysis.explanation.variable_importance import CARD_METHODS

WEIGHTS = Path(xfaconv.__file__).parent / "models" / "weights"
README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"
SAMPLES = {"ncep-monthly-2p5deg": "ncep-oisst", "amip-daily-5p6deg": "amip"}
# The years that the regional models were tested on.
FILES = {
    "erai-natl-daily-1p5deg": ("erai-daily-natl-2000-2009.nc", slice("2008-02", None)),
    "era5-peru-monthly-0p25deg": ("era5-monthly-peru-1960-2015.nc", slice("2005", None)),
}
IMPORTANCE_COMMAND = "python scripts/tables.py importance --data ../shared/data --write"
_NOT_MEASURED, _NONE = "not measured", "none"
_COLUMNS = (
    "model",
    "learned from",
    "grid, step",
    "variables",
    "trained on; tested on",
    "parameters",
    "one-step RMSE of standardised anomalies over persistence's",
    "over damped persistence's",
    "hidden sectors explained",
    "with attention removed",
    "optimal interpolation alone",
    "linear regression",
)


def table() -> str:
    """Lay out all packaged models as a Markdown table."""
    packaged = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))
    rows = [_row(xfaconv.load_model(name).card) for name in packaged]
    lines = [_COLUMNS, ("---",) * len(_COLUMNS), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def readme_with_table(text: str) -> str:
    """Put the table between its two markers."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _row(card: xfaconv.ModelCard) -> tuple[str, ...]:
    metrics = card.metrics
    south_north, west_east = card.grid.resolution
    hidden = [
        _share(metrics, *path, "all")
        for path in (
            ("hidden_sectors",),
            ("attention_removed", "hidden_sectors"),
            ("interpolation_alone", "hidden_sectors"),
            ("hidden_sectors_linear",),
        )
    ]
    return (
        f"`{card.name}`",
        {"simulation": "a SIMULATION", "reanalysis": "reanalysis", "user": "user data"}[card.source],
        f"{'global' if card.grid.is_global else 'regional'} {south_north:g} x {west_east:g} degrees, {card.step}",
        ", ".join(variable.name for variable in card.variables),
        "; ".join(card.years[span] for span in ("train", "test") if span in card.years),
        f"{card.parameters:,}",
        _range(metrics, "standardised_rmse_to_persistence"),
        _range(metrics, "standardised_rmse_to_damped_persistence"),
        *hidden,
    )


def _range(metrics: Mapping[str, Any], name: str) -> str:
    """Smallest and largest over the variables, at a lead of one step."""
    values = [entry[name] for entry in metrics.get("forecast", {}).get("lead 1", {}).values() if name in entry]
    return f"{min(values):.2f} to {max(values):.2f}" if values else _NOT_MEASURED


def _share(metrics: Mapping[str, Any], *path: str) -> str:
    value: Any = metrics
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return f"{value:.1%}" if isinstance(value, float) else _NOT_MEASURED if path[0] in metrics else _NONE


def models(given: argparse.Namespace) -> None:
    """Rewrite the table in the README, or say that it is out of date."""
    text = README.read_text(encoding="utf-8")
    new = readme_with_table(text)
    if given.check:
        sys.exit("the table of models in README.md is out of date" if new != text else 0)
    README.write_text(new, encoding="utf-8")


def fields_for(name: str, data: Path | None) -> xr.Dataset | None:
    """Give the fields that the importance of a model is measured on; None without their files."""
    if name in SAMPLES:
        return xfaconv.tutorial.open_dataset(SAMPLES[name])
    if name not in FILES or data is None:
        return None
    file, years = FILES[name]
    return xr.open_dataset(data / file).sel(time=years)


def importance(given: argparse.Namespace) -> None:
    """Measure and print importance, and write it into the cards if asked for."""
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        name = path.stem
        if given.names and name not in given.names:
            continue
        fields = fields_for(name, given.data)
        if fields is None:
            print(f"\n{name}: left out, needs --data")
            continue
        model = xfaconv.load_model(name)
        found = importance_for_card(fields, model, samples=given.samples)
        variables = list(found["gate"])
        print(f"\n{name}, {given.samples} times\n")
        print("| method | " + " | ".join(variables) + " |\n|---|" + "---|" * len(variables))
        for method in CARD_METHODS:
            print(f"| {method} | " + " | ".join(f"{found[method][variable]:.2f}" for variable in variables) + " |")
        print()
        for pair, value in found["rank_correlation"].items():
            print(f"rank correlation of {pair}: {value:+.2f}", flush=True)
        if given.write:
            entry = {"command": IMPORTANCE_COMMAND, **found}
            model.updated(metrics={**model.card.metrics, "importance": entry}).save(path)


def precision_of_xeofs() -> str:
    """Type of the EOFs that xeofs makes of float32 fields."""
    import xeofs

    field = xr.DataArray(
        np.random.default_rng(0).normal(size=(40, 6, 8)).astype("float32"),
        {"time": np.arange(40), "lat": np.linspace(-60, 60, 6), "lon": np.arange(8) * 45.0},
        ("time", "lat", "lon"),
    )
    return str(xeofs.single.EOF(n_modes=2).fit(field, dim="time").components().dtype)


def covered_by_xbatcher(steps: int = 1000, window: int = 12) -> int:
    """Count the steps of a record that are in some batch."""
    import xbatcher

    record = xr.Dataset({"x": ("time", np.arange(steps))})
    batches = xbatcher.BatchGenerator(record, {"time": window})
    return len(set(np.concatenate([batch.x.values for batch in batches]).tolist()))


def changes_of_a_convlstm() -> tuple[float, float]:
    """Give the relative L2 change of a ConvLSTM2D by rolled longitudes, and by a start two steps before the end."""
    import keras

    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.linspace(0, np.pi, 32), np.linspace(0, 2 * np.pi, 64, endpoint=False), indexing="ij")
    waves = sum(random.normal() * np.cos(k * columns + random.normal()) * np.sin(rows) for k in range(1, 6))
    fields = (waves + 0.3 * random.normal(size=(12, 32, 64)))[None, ..., None].astype("float32")
    layers = keras.Sequential([keras.layers.ConvLSTM2D(16, 5, padding="same", return_sequences=True) for _ in range(4)])
    whole = np.asarray(layers.predict(fields, verbose=0))[0, -1]
    rolled = np.asarray(layers.predict(np.roll(fields, 32, axis=3), verbose=0))[0, -1]
    restarted = np.asarray(layers.predict(fields[:, 10:], verbose=0))[0, -1]
    size = np.linalg.norm(whole)
    by_roll = np.linalg.norm(np.roll(rolled, -32, axis=1) - whole) / size
    return float(by_roll), float(np.linalg.norm(restarted - whole) / size)


def comparison(given: argparse.Namespace) -> None:  # noqa: ARG001 - it has no arguments
    """Print what docs/explanation/comparison.md says of other packages."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    import xbatcher
    import xeofs

    by_roll, by_start = changes_of_a_convlstm()
    print(f"xeofs {xeofs.__version__}: EOFs of float32 are {precision_of_xeofs()}")
    print(f"xbatcher {xbatcher.__version__}: windows of 12 cover {covered_by_xbatcher()} of 1000 steps")
    print(f"Keras {keras.__version__} ConvLSTM2D, four layers, random weights, zero padding:")
    print(f"  {by_roll:.0%} change by rolling the longitudes, {by_start:.0%} by a start two steps before the end")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("models", help="the table of models in the README")
    command.add_argument("--check", action="store_true", help="change nothing; fail if the table is out of date")
    command.set_defaults(run=models)
    command = commands.add_parser("importance", help="importance of each variable by gates, occlusion and gradients")
    command.add_argument("names", nargs="*", help="models to measure, by default all")
    command.add_argument("--samples", type=int, default=6, help="number of times sampled")
    command.add_argument("--data", type=Path, help="folder with the fields of the regional models")
    command.add_argument("--write", action="store_true", help="write the numbers into the cards of the packaged models")
    command.set_defaults(run=importance)
    commands.add_parser("comparison", help="what other packages do").set_defaults(run=comparison)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
