"""Compare ways of training the monthly model on held-back years: `python scripts/training_trials.py --data FOLDER`.

Every network learns from the years before 2004, on every sixth point of the grid, and is measured on 2004-2009; the
test years 2010-2018 are not looked at. The table goes into docs/reference/training.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from xfaconv.training.evaluation import hidden_skill, without_attention
from xfaconv.training.linear import linear_answer
from xfaconv.training.packaged import control_recipe, train_recipe
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import MONTHLY, Recipe

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "training.md"
BEGIN, END = "<!-- trials: begin -->", "<!-- trials: end -->"
BEFORE, HELD_BACK = ("1981-12", "2003-12"), ("2004-01", "2009-12")
NAMES = [variable.name for variable in MONTHLY.variables]
UPDATES = 1200


def trials() -> dict[str, Recipe]:
    """Recipes that differ from the packaged one's first stage in one thing each."""
    first = MONTHLY.stages[0]
    short = replace(first, schedule=replace(first.schedule, updates=UPDATES))

    def trial(tag: str, recipe: Recipe = MONTHLY, **schedule: float) -> Recipe:
        stage = replace(short, schedule=replace(short.schedule, **schedule))
        return replace(recipe, name=f"trial-{tag}", stages=(stage,), train=BEFORE, test=HELD_BACK)

    unplaced = replace(MONTHLY, network=replace(MONTHLY.network, located=False))
    middle, narrow = (
        replace(MONTHLY, network=replace(MONTHLY.network, attention_width=width, attention_heads=heads))
        for width, heads in ((32, 4), (16, 2))
    )
    return {
        "packaged recipe": trial("packaged"),
        "windows not blended": trial("plain", blend=False),
        "learning rate 0.004 instead of 0.02": trial("slow", learning_rate=4e-3),
        "read-out without place": trial("unplaced", unplaced),
        "attention 32 wide, 4 heads, instead of 64 and 8": trial("middle", middle),
        "attention 16 wide, 2 heads": trial("narrow", narrow),
        "trained without attention": trial("bare", control_recipe(MONTHLY)),
    }


def rows(prepared: Prepared, work: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Give the lines of the table."""
    every = MONTHLY.stages[0].every
    source, grid = prepared.source(BEFORE, every), prepared.thinned_grid(every)
    window, warm_steps = MONTHLY.hidden_window
    test = prepared.stretch(HELD_BACK)
    for what, recipe in trials().items():
        network = train_recipe(recipe, prepared, work)
        kinds = {what: network}
        if what == "packaged recipe":
            kinds[f"{what}, attention removed"] = without_attention(network)
        for name, kind in kinds.items():
            yield (
                name,
                hidden_skill(kind, source, grid, NAMES, test=test, window=window, warm_steps=warm_steps, repeats=4),
            )
    yield "linear answer", linear_answer(source, grid, NAMES, train=prepared.stretch(BEFORE), test=test)


def main() -> None:
    """Train what is not trained yet, and rewrite the table in the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("training-runs"), help="folder of checkpoints and logs")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    columns = [*NAMES, "all"]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    prepared = prepare(replace(MONTHLY, train=BEFORE, test=HELD_BACK), arguments.data)
    for what, shares in rows(prepared, arguments.work):
        lines.append(f"| {what} | " + " | ".join(f"{shares[name]:.3f}" for name in columns) + " |")
        print(lines[-1], flush=True)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
