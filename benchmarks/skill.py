"""Skill of networks trained alike on unseen years: ``python benchmarks/skill.py --data ../shared/data``.

FAConvLSTM, ConvLSTM, CNN-LSTM and CNN of equal width and equal updates forecast the next month, beside persistence,
damped persistence and a linear inverse model; docs/reference/skill.md is written from the runs, kept in --work.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from alike import (
    BLOCK,
    SETTING,
    SPEC,
    World,
    arguments,
    embedding_alike,
    kept,
    open_world,
    parameters,
    train_alike,
    verify_alike,
)

from xfaconv.specs import Architecture
from xfaconv.training.skill import Verification, compare, verify_references

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "skill.md"
SEEDS = (0,)
NETWORKS: tuple[Architecture, ...] = ("faconvlstm", "convlstm", "cnn-lstm", "cnn")
TITLES = {"faconvlstm": "FAConvLSTM", "convlstm": "ConvLSTM", "cnn-lstm": "CNN-LSTM", "cnn": "CNN"}

TEXT = """\
# One month ahead, on unseen years

Written by `python benchmarks/skill.py --data ../shared/data`.

{setting}

RMSE and anomaly correlation are weighted by area; a network's are over its forecasts (seeds: {seeds}).
*Ratio* is the RMSE of FAConvLSTM over that of the row, with a 95% interval from a bootstrap over blocks of {block}
months (the same blocks for both): below 1 FAConvLSTM is better, and clearly so where the whole interval is.
"""
COST = """\
On so coarse a grid training time is that of many small operations, not of the arithmetic that the layer saves; its
speed on finer grids is in benchmarks-layer.md.
"""


def run(world: World, architecture: Architecture, seed: int) -> dict[str, Any]:
    """Train and verify one network."""
    network, seconds = train_alike(world, replace(SPEC, architecture=architecture), seed)
    verification, starts = verify_alike(world, network)
    return {
        "sums": verification.sums.tolist(),
        "starts": starts.tolist(),
        "embedding": embedding_alike(world, network).tolist(),
        "seconds": seconds,
        "parameters": parameters(network),
    }


def cost(table: dict[str, dict[str, Any]], runs: dict[str, list[dict[str, Any]]]) -> str:
    """Say how FAConvLSTM stands beside ConvLSTM in skill, size and time."""
    rival = {name: rows[TITLES["convlstm"]]["ratio"] for name, rows in table.items()}
    better = [name for name, (_, _, high) in rival.items() if high < 1]
    worse = [name for name, (_, low, _) in rival.items() if low > 1]
    ours, theirs = runs["faconvlstm"], runs["convlstm"]
    size = ours[0]["parameters"] / theirs[0]["parameters"]
    seconds = np.mean([row["seconds"] for row in ours]) / np.mean([row["seconds"] for row in theirs])
    return (
        f"Beside ConvLSTM, FAConvLSTM is clearly better in: {', '.join(better) or 'nothing'}; clearly worse in: "
        f"{', '.join(worse) or 'nothing'}. It has {size:.2f} of the parameters, and training took {seconds:.1f} times "
        "as long."
    )


def page(names: list[str], table: dict[str, dict[str, Any]], runs: dict[str, list[dict[str, Any]]]) -> str:
    """Write the page in Markdown."""
    methods = list(next(iter(table.values())))
    lines = [TEXT.format(setting=SETTING, seeds=", ".join(map(str, SEEDS)), block=BLOCK)]
    for name in names:
        lines += [f"## {name}", "", "| | RMSE | anomaly correlation | ratio |", "|---|---|---|---|"]
        for method in methods:
            row = table[name][method]
            ratio = "{:.3f} ({:.3f} to {:.3f})".format(*row["ratio"]) if "ratio" in row else ""
            lines.append(f"| {method} | {row['rmse']:.4g} | {row['anomaly_correlation']:.3f} | {ratio} |")
        lines.append("")
    lines += ["## Cost", "", "| | parameters of core and attention | training [CPU s, one thread] |", "|---|---|---|"]
    for architecture, rows in runs.items():
        seconds = ", ".join(f"{row['seconds']:.0f}" for row in rows)
        lines.append(f"| {TITLES[architecture]} | {rows[0]['parameters']} | {seconds} |")
    lines += ["", cost(table, runs), "", COST]
    return "\n".join(lines)


def main() -> None:
    """Run what is not in the work folder yet, and write the page."""
    given = arguments(__doc__)
    world = open_world(given.data)
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in SEEDS:
        for architecture in NETWORKS:
            file = given.work / f"skill-{architecture}-{seed}.json"
            made = kept(file, partial(run, world, architecture, seed))
            runs.setdefault(architecture, []).append(made)
    # The mean over the seeds at each step, so that the blocks of the bootstrap stay blocks of time.
    found = {TITLES[name]: Verification(np.mean([row["sums"] for row in rows], axis=0)) for name, rows in runs.items()}
    starts = np.asarray(runs["faconvlstm"][0]["starts"])
    found.update(verify_references(world.source, world.grid, world.scale, starts, train=world.train))
    table = compare(found, world.names, BLOCK, reference=TITLES["faconvlstm"])
    PAGE.write_text(page(world.names, table, runs), encoding="utf-8")


if __name__ == "__main__":
    main()
