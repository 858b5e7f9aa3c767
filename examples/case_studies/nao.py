"""Case study: the North Atlantic Oscillation in winter, inferred from outside of the Atlantic and a month before.

    python examples/case_studies/nao.py --out nao                              the embedded sample, 2007 to 2018
    python examples/case_studies/nao.py --data FOLDER --out docs/case-studies        the whole record of the page

Data and model: as in `enso.py`.
"""

from __future__ import annotations

from typing import Any

from shared import answered, command_line, globe, loaded

MODEL = "ncep-monthly-2p5deg"
# The two boxes of the index (xfaconv.analysis.nao), and the sector in which they lie.
NORTH, SOUTH = (55, 70, 280, 350), (35, 45, 280, 350)
HIDDEN = (20, 85, 265, 30)


def questions() -> dict[str, dict[str, Any]]:
    """Ask for 500 hPa height of both centres inferred from outside of the sector, and of one a month ahead."""
    inferred = {"variable": "z500", "hide": HIDDEN, "season": "DJF"}
    return {
        "Northern centre, inferred, December to February": inferred | {"target": NORTH},
        "Southern centre, inferred, December to February": inferred | {"target": SOUTH},
        # A season is that of the steps that forecasts start from.
        "Northern centre, forecast one month ahead, December to February": {
            "target": NORTH,
            "variable": "z500",
            "lead": 1,
            "season": "NDJ",
            "index": "nao",
        },
    }


def main() -> None:
    """Make the figure, print the numbers and write them into the page."""
    arguments = command_line(__doc__)
    answered("nao", globe(arguments.data), questions(), loaded(arguments.model or MODEL), arguments)


if __name__ == "__main__":
    main()
