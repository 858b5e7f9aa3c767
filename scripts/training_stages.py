"""Write what each stage of the located trial brought: ``python scripts/training_stages.py --data ../shared/data``.

Needs the checkpoints that ``python -m xfaconv.training.packaged ncep-monthly-2p5deg-located`` left in --work, with and
without ``--control``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open

from xfaconv.nn import Network, build_network
from xfaconv.training.evaluation import hidden_skill, without_attention
from xfaconv.training.linear import linear_answer
from xfaconv.training.packaged import control_recipe
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import MONTHLY_LOCATED, Recipe

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "training.md"
BEGIN, END = "<!-- stages: begin -->", "<!-- stages: end -->"
YEARS = ("2004-01", "2009-12")
BEFORE = ("1981-12", "2003-12")
EVERY = 6
NAMES = [variable.name for variable in MONTHLY_LOCATED.variables]


def averaged_network(recipe: Recipe, number: int, work: Path) -> Network:
    """Read the averaged weights that a stage ended with."""
    network = build_network(recipe.stages[number - 1].network or recipe.network)
    with safe_open(work / f"{recipe.name}-{number}.checkpoint", "pt") as file:
        names = [name for name in file.keys() if name.startswith("average.")]  # noqa: SIM118
        network.load_state_dict({name.removeprefix("average."): file.get_tensor(name) for name in names})
    return network.eval()


def explained(prepared: Prepared, network: Network) -> dict[str, float]:
    """Share of the hidden variance in the years of the table."""
    return hidden_skill(
        network,
        prepared.source(MONTHLY_LOCATED.train, EVERY),
        prepared.thinned_grid(EVERY),
        NAMES,
        test=prepared.stretch(YEARS),
        window=MONTHLY_LOCATED.hidden_window[0],
        warm_steps=MONTHLY_LOCATED.hidden_window[1],
        repeats=4,
    )


def rows(prepared: Prepared, work: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Give the lines of the table."""
    for number in range(1, MONTHLY_LOCATED.compared_stages + 1):
        stage = MONTHLY_LOCATED.stages[number - 1]
        network = averaged_network(MONTHLY_LOCATED, number, work)
        what = f"after stage {number} ({stage.schedule.updates} updates, {2.5 * stage.every:g} degrees)"
        yield what, explained(prepared, network)
        yield f"{what}, attention removed", explained(prepared, without_attention(network))
        yield f"{what}, trained without attention", explained(prepared, averaged_network(CONTROL, number, work))
    yield (
        "linear answer, fitted to the years before 2004",
        linear_answer(
            prepared.source(MONTHLY_LOCATED.train, EVERY),
            prepared.thinned_grid(EVERY),
            NAMES,
            train=prepared.stretch(BEFORE),
            test=prepared.stretch(YEARS),
        ),
    )


CONTROL = control_recipe(MONTHLY_LOCATED)


def main() -> None:
    """Rewrite the table in the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("training-runs"), help="folder of the checkpoints")
    arguments = parser.parse_args()
    columns = [*NAMES, "all"]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    prepared = prepare(replace(MONTHLY_LOCATED, test=YEARS), arguments.data)
    for what, shares in rows(prepared, arguments.work):
        lines.append(f"| {what} | " + " | ".join(f"{shares[name]:.3f}" for name in columns) + " |")
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
