"""The tables and the figure of docs/reference/training.md.

    python scripts/training_page.py trials --data FOLDER        one thing changed at a time in the monthly recipe
    python scripts/training_page.py pretraining --data FOLDER   whether the simulation helps the monthly model
    python scripts/training_page.py curves --logs FOLDER        loss terms of the packaged models, from their logs

Trials and pretraining learn from the reanalysis before 2004 at grid stride 6 and are measured on 2004-2009; the test
years 2010-2018 are not used. Each command rewrites its own part of the page.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from xfaconv.adapt import InputSpec, adapt
from xfaconv.nn import Network, build_network
from xfaconv.training.data import TrainingData, training_data
from xfaconv.training.evaluation import forecast_skill, hidden_skill, linear_answer, without_attention
from xfaconv.training.loop import start_from_damped_persistence, train
from xfaconv.training.packaged import control_recipe, train_recipe
from xfaconv.training.recipes import RECIPES, Recipe, recipe_data

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "reference" / "training.md"
FIGURE = DOCS / "figures" / "training_curves.png"
BEFORE, HELD_BACK = ("1981-12", "2003-12"), ("2004-01", "2009-12")
MONTHLY = RECIPES["ncep-monthly-2p5deg"]
NAMES = [variable.name for variable in MONTHLY.variables]
STAGE = MONTHLY.stages[0]
UPDATES = 1200

# Which variable of the simulation stands for which of the reanalysis. The simulation has no sst, whose anomalies are
# followed by the air just above open water, and nothing for z200, which stays missing.
STANDS_FOR = {"sst": "t2m", "z500": "z500", "v200": "v250", "t995": "t2m"}

# Lines of a log, one for every ten updates, that are averaged in the table and in the curves.
FEW, SMOOTH = 5, 20
PURPOSE = {
    "hidden": "hidden parts",
    "lead 1": "one step ahead",
    "lead 3": "three steps ahead",
    "lead 10": "ten steps ahead",
    "reconstruction": "rebuilt from the embedding",
}


def rewrite(part: str, lines: list[str]) -> None:
    """Put lines between the two markers of a part of the page."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    PAGE.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{rest.split(end)[1]}"]), encoding="utf-8")


def trials() -> dict[str, Recipe]:
    """Recipes that differ from the packaged one's first stage in one respect each."""
    short = replace(STAGE, schedule=replace(STAGE.schedule, updates=UPDATES))

    def trial(tag: str, recipe: Recipe = MONTHLY, **schedule: float) -> Recipe:
        stage = replace(short, schedule=replace(short.schedule, **schedule))
        return replace(recipe, name=f"trial-{tag}", stages=(stage,), compared_stages=1, train=BEFORE, test=HELD_BACK)

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


def held_back_years(folder: Path) -> TrainingData:
    """Read the data of the monthly recipe, to learn from the years before 2004 and to be measured on 2004-2009."""
    recipe = replace(MONTHLY, train=BEFORE, test=HELD_BACK)
    return recipe_data(recipe, folder)


def explained(network: Network, data: TrainingData) -> dict[str, float]:
    """Share of the hidden variance that is explained in the years held back."""
    window, warm_steps = MONTHLY.measured.hidden_window
    return hidden_skill(network, data, window=window, warm_steps=warm_steps, repeats=4)


def trial_rows(data: TrainingData, work: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Share of the hidden variance explained by each trial, and by the linear answer."""
    coarse = data.strided(STAGE.stride)
    for what, recipe in trials().items():
        network = train_recipe(recipe, data, work)
        yield what, explained(network, coarse)
        if what == "packaged recipe":
            yield f"{what}, attention removed", explained(without_attention(network), coarse)
    yield "linear answer", linear_answer(coarse)


def write_trials(given: argparse.Namespace) -> None:
    """Train what is not trained yet, and rewrite the table of trials."""
    columns = [*NAMES, "all"]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for what, shares in trial_rows(held_back_years(given.data), given.work):
        lines.append(f"| {what} | " + " | ".join(f"{shares[name]:.3f}" for name in columns) + " |")
        print(lines[-1], flush=True)
    rewrite("trials", lines)


def simulated_months(data: Path, work: Path) -> Path:
    """Write monthly means of the simulation under the names and on the grid of the monthly recipe."""
    file = work / "simulated-months.nc"
    if file.exists():
        return file
    with xr.open_dataset(data / MONTHLY.files) as real:
        sea = real["sst"].notnull().any("time").load()
    latitude, longitude = (name for name in sea.dims)
    months = []
    for path in sorted(data.glob("amip/amip-daily-5p6deg-*.nc")):
        with xr.open_dataset(path) as year:
            months.append(year[sorted(set(STANDS_FOR.values()))].resample(time="MS").mean().load())
    means = xr.concat(months, "time")
    around = means.isel(longitude=[0]).assign_coords(longitude=means["longitude"][[0]] + 360)
    placed = xr.concat([means, around], "longitude").interp(
        latitude=sea[latitude].values.clip(float(means["latitude"].min()), float(means["latitude"].max())),
        longitude=sea[longitude].values % 360,
    )
    placed = placed.rename(latitude=latitude, longitude=longitude)
    placed = placed.assign_coords({latitude: sea[latitude], longitude: sea[longitude]})
    out = xr.Dataset({name: placed[other] for name, other in STANDS_FOR.items()})
    out["sst"] = out["sst"].where(sea)
    work.mkdir(parents=True, exist_ok=True)
    out.astype("float32").to_netcdf(file)
    return file


def simulated_data(file: Path) -> TrainingData:
    """Standardise the simulated months; variables that the simulation lacks are missing everywhere."""
    known = tuple(variable for variable in MONTHLY.variables if variable.name in STANDS_FOR)
    with xr.open_dataset(file) as ds:
        conformed = adapt(ds.load(), InputSpec(known, step=MONTHLY.step), regrid=None, climatology=None)
    steps = slice(0, len(conformed.time))
    data = training_data(conformed, known, steps, steps, MONTHLY.harmonics)
    fields = dict(zip(data.names, (np.asarray(field) for field in data.fields), strict=True))
    absent = np.full_like(fields["z500"], np.nan)
    return replace(data, variables=MONTHLY.variables, fields=tuple(fields.get(name, absent) for name in NAMES))


def learn(network: Network, data: TrainingData, updates: int, seed: int, file: Path) -> None:
    """Train a network in place, or take the weights of an earlier run from a checkpoint."""
    schedule = replace(STAGE.schedule, updates=updates, seed=seed)
    train(network, data.windows(), data.grid, schedule, STAGE.objective or MONTHLY.objective, checkpoint=file)


def new_network(data: TrainingData, seed: int) -> Network:
    """Give a new network that starts at damped persistence of the reanalysis."""
    torch.manual_seed(seed)
    network = build_network(MONTHLY.network)
    start_from_damped_persistence(network, data.windows(), data.grid, seed)
    return network


def pretraining_row(what: str, network: Network, data: TrainingData) -> str:
    """Measure a network on the years held back: one row of the table."""
    hidden = explained(network, data)
    forecast = forecast_skill(network, data, segment=MONTHLY.segment, warmup=MONTHLY.warmup)["lead 1"]
    ratios = [forecast[name]["standardised_rmse_to_damped_persistence"] for name in NAMES]
    cells = [f"{hidden[name]:.3f}" for name in (*NAMES, "all")] + [f"{np.mean(ratios):.3f}"]
    return f"| {what} | " + " | ".join(cells) + " |"


def write_pretraining(given: argparse.Namespace) -> None:
    """Train what is not trained yet, and rewrite the table of pretraining."""
    work, seed = given.work / "pretraining", given.seed
    real = held_back_years(given.data).strided(STAGE.stride)
    simulated = simulated_data(simulated_months(given.data, work)).strided(STAGE.stride)
    lines = ["| | " + " | ".join([*NAMES, "all", "next month"]) + " |", "|---" * (len(NAMES) + 3) + "|"]

    def note(what: str, network: Network) -> None:
        lines.append(pretraining_row(what, network, real))
        print(lines[-1], f"{time.process_time():.0f} s", flush=True)

    for updates in (UPDATES, 2 * UPDATES):
        network = new_network(real, seed)
        learn(network, real, updates, seed, work / f"reanalysis-{updates}-{seed}.checkpoint")
        note(f"reanalysis, {updates} updates", network)
    network = new_network(real, seed)
    learn(network, simulated, UPDATES, seed, work / f"simulation-{seed}.checkpoint")
    note(f"simulation, {UPDATES} updates", network)
    learn(network, real, UPDATES, seed, work / f"then-reanalysis-{seed}.checkpoint")
    note(f"simulation, {UPDATES} updates, then reanalysis, {UPDATES}", network)
    rewrite("pretraining", lines)


def read_log(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Give the columns of a log of JSON lines; empty without a file."""
    file = folder / f"{name}.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    columns = {key: np.array([row[key] for row in rows]) for key in (rows[0] if rows else {})}
    if rows:
        # Of an update in which nothing was hidden, training logs an error of 0.
        columns["hidden"] = np.where(columns["hidden"] == 0, np.nan, columns["hidden"])
    return columns


def first_and_last(values: np.ndarray | None) -> str:
    """Means over the first and the last logged updates of a stage, one mean where they are the same."""
    if values is None:
        return ""
    first, last = (f"{np.nanmean(part):.2f}" for part in (values[:FEW], values[-FEW:]))
    return f"{first} to {last}" if len(values) > FEW else last


def log_table(recipe: Recipe, logs: Path) -> list[str]:
    """Lay out the stages of a recipe: settings, time and loss terms."""
    terms = [term for term in PURPOSE if term in read_log(logs, f"{recipe.name}-1")]
    head = ["stage", "grid stride", "window", "updates", "hours", *(PURPOSE[term] for term in terms)]
    lines = [f"| {' | '.join([*head, 'hidden parts, without attention'])} |", "|---" * (len(head) + 1) + "|"]
    for number, stage in enumerate(recipe.stages, start=1):
        log = read_log(logs, f"{recipe.name}-{number}")
        control = read_log(logs, f"{recipe.name}-control-{number}")
        cells = [str(number), str(stage.stride), str(stage.schedule.window), str(log["update"][-1])]
        cells += [f"{log['seconds'][-1] / 3600:.2f}", *(first_and_last(log[term]) for term in terms)]
        lines.append(f"| {' | '.join([*cells, first_and_last(control.get('hidden'))])} |")
    return lines


def draw_curves(recipes: list[Recipe], logs: Path) -> None:
    """Draw the hidden and lead-1 terms of the loss against the number of updates, a panel for each model."""
    from matplotlib import pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots(2, 2, figsize=(8.4, 5.6), sharey=True, layout="constrained")
    for ax in axes.flat[len(recipes) :]:
        ax.set_axis_off()
    for ax, recipe in zip(axes.flat, recipes, strict=False):
        for kind, style, label in (("", "-", ""), ("-control", ":", ", trained without attention")):
            done = 0
            for number in range(1, len(recipe.stages) + 1):
                log = read_log(logs, f"{recipe.name}{kind}-{number}")
                if not log:
                    break
                for term, colour in (("hidden", "#0072b2"), ("lead 1", "#d55e00")):
                    # Over fewer updates at the ends of a stage, so that no mean is taken over two stages.
                    known, window = np.isfinite(log[term]), np.ones(min(SMOOTH, len(log[term])))
                    total = np.convolve(np.nan_to_num(log[term]), window, "same")
                    mean = total / np.convolve(known, window, "same")
                    name = f"{PURPOSE[term]}{label}" if number == 1 else None
                    ax.plot(done + log["update"], mean, style, color=colour, linewidth=1.4, label=name)
                done += int(log["update"][-1])
                if not kind:
                    ax.axvline(done, color="0.8", linewidth=0.8, zorder=0)
        ax.set_title(recipe.name, fontsize=10)
        ax.set_ylim(0, 1.1)
        ax.set_xlim(0, None)
    for ax in axes[-1]:
        ax.set_xlabel("updates; vertical lines end a stage")
    for ax in axes[:, 0]:
        ax.set_ylabel("squared error / variance")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    # With 32 colours the file is a third as large.
    Image.open(drawn).convert("RGB").quantize(32).save(FIGURE, optimize=True)


def write_curves(given: argparse.Namespace) -> None:
    """Rewrite the tables of loss terms and the figure of the curves."""
    # A model that was trained elsewhere has no logs here.
    recipes = [recipe for recipe in RECIPES.values() if read_log(given.logs, f"{recipe.name}-1")]
    lines: list[str] = []
    for recipe in recipes:
        hours = sum(read_log(given.logs, f"{recipe.name}-{i + 1}")["seconds"][-1] for i in range(len(recipe.stages)))
        lines += [f"`{recipe.name}`, {hours / 3600:.2f} hours in all:", "", *log_table(recipe, given.logs), ""]
    rewrite("curves", lines)
    draw_curves(recipes, given.logs)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runs: dict[str, Any] = {"trials": write_trials, "pretraining": write_pretraining}
    for name, run in runs.items():
        command = commands.add_parser(name)
        command.add_argument("--data", type=Path, required=True, help="folder of the training data")
        command.add_argument("--work", type=Path, default=Path("training-runs"), help="folder of checkpoints and logs")
        command.add_argument("--threads", type=int, default=2 if name == "trials" else 1, help="torch threads")
        command.add_argument("--seed", type=int, default=1, help="of pretraining")
        command.set_defaults(run=run)
    command = commands.add_parser("curves")
    command.add_argument("--logs", type=Path, default=Path("training-runs"), help="folder of the logs of training")
    command.set_defaults(run=write_curves, threads=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.run(given)


if __name__ == "__main__":
    main()
