"""Write the README's table of models from their cards: ``python scripts/model_table.py``; ``--check`` only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xfaconv

WEIGHTS = Path(xfaconv.__file__).parent / "models" / "weights"
README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"
_NOT_MEASURED = "not measured"
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
    "trained without attention",
    "linear answer",
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
            ("attention_worth", "trained_without_attention", "hidden_sectors"),
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
    return f"{value:.0%}" if isinstance(value, float) else _NOT_MEASURED


def main() -> None:
    """Rewrite the table, or say that it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the table is out of date")
    arguments = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    new = readme_with_table(text)
    if arguments.check:
        sys.exit("the table of models in README.md is out of date" if new != text else 0)
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
