"""Case study: what is known of the North Pacific and of North America in winter from El Nino and the rest of the world.

    python examples/case_studies/enso.py --out enso                            the embedded sample, 2007 to 2018
    python examples/case_studies/enso.py --data FOLDER --out docs/case-studies       the whole record of the page

Data: NOAA OISST v2 and NCEP/NCAR Reanalysis 1 monthly means, 2.5 degrees, December 1981 to December 2018; the page says
how the file is made of public ones. The packaged model `ncep-monthly-2p5deg` is used as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared import answered, command_line, globe, loaded, write_results

ROOT = Path(__file__).resolve().parents[2]
MODEL = "ncep-monthly-2p5deg"
# Where, and what is hidden around it.
TARGETS = {
    "North Pacific": ("north_pacific", (20, 80, 140, 250)),
    "western Canada": ((45, 60, 230, 255), (20, 80, 190, 300)),
    "south-east of the United States": ((25, 37.5, 265, 285), (15, 65, 235, 315)),
}


def questions() -> dict[str, dict[str, Any]]:
    """Ask for 500 hPa height of each area: inferred from the rest of the world, and forecast a month ahead."""
    asked: dict[str, dict[str, Any]] = {}
    for name, (target, hide) in TARGETS.items():
        about = {"target": target, "variable": "z500", "index": "nino34"}
        asked[f"{name}, inferred, December to February"] = {**about, "hide": hide, "season": "DJF", "samples": 6}
    for name, (target, _) in TARGETS.items():
        about = {"target": target, "variable": "z500", "index": "nino34"}
        # A season is that of the steps that forecasts start from.
        asked[f"{name}, forecast one month ahead, December to February"] = {**about, "lead": 1, "season": "NDJ"}
    return asked


def main() -> None:
    """Make the figure, print the numbers and write them into the page, and the first sentence into the README."""
    arguments = command_line(__doc__)
    found = answered("enso", globe(arguments.data), questions(), loaded(arguments.model or MODEL), arguments)
    if arguments.out.resolve() == ROOT / "docs" / "case-studies":
        write_results(ROOT / "README.md", f"> {next(iter(found.values())).attrs['sentence']}")


if __name__ == "__main__":
    main()
