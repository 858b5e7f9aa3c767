"""Case study: what is known of the Indian monsoon region in summer from the Pacific and the Indian Ocean.

    python examples/case_studies/monsoon.py --out monsoon                      the embedded sample, 2007 to 2018
    python examples/case_studies/monsoon.py --data FOLDER --out docs/case-studies    the whole record of the page

Data and model: as in `enso.py`. The record has no precipitation; the circulation (200 hPa height and meridional wind)
and the temperature near the ground stand for the monsoon.
"""

from __future__ import annotations

from typing import Any

from shared import answered, command_line, globe, loaded

MODEL = "ncep-monthly-2p5deg"
INDIA = (10, 30, 70, 90)
HIDDEN = (5, 45, 55, 105)
REGIONS = {
    "tropical Pacific": (-15, 15, 160, 280),
    "tropical Indian Ocean": (-20, 2.5, 40, 110),
    "Asia and the ocean around what is hidden": (5, 55, 40, 120),
}


def questions() -> dict[str, dict[str, Any]]:
    """Ask for the region inferred from the rest of the world, and forecast a month ahead."""
    about = {"target": INDIA, "index": "nino34", "regions": REGIONS}
    inferred = about | {"hide": HIDDEN, "season": "JJAS"}
    return {
        "Temperature near the ground, inferred, June to September": inferred | {"variable": "t995"},
        "200 hPa height, inferred, June to September": inferred | {"variable": "z200"},
        # A season is that of the steps that forecasts start from.
        "Temperature near the ground, forecast one month ahead, June to September": about
        | {"variable": "t995", "lead": 1, "season": "MJJA"},
    }


def main() -> None:
    """Make the figure, print the numbers and write them into the page."""
    arguments = command_line(__doc__)
    answered("monsoon", globe(arguments.data), questions(), loaded(arguments.model or MODEL), arguments)


if __name__ == "__main__":
    main()
