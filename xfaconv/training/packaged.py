"""Make a packaged model from the shared data: ``python -m xfaconv.training.packaged NAME --data ../shared/data``."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.specs import ModelCard, NetworkSpec
from xfaconv.training.evaluation import forecast_skill, hidden_skill, without_attention
from xfaconv.training.linear import linear_answer
from xfaconv.training.loop import start_from_damped_persistence, train
from xfaconv.training.objective import network_input
from xfaconv.training.peru import PERU
from xfaconv.training.preparation import Prepared, prepare
from xfaconv.training.recipes import RECIPES, Recipe
from xfaconv.training.skill import one_step_skill

_WEIGHTS = Path(__file__).parents[1] / "models" / "weights"
_BASE_POINTS = ((0.0, 220.0), (65.0, 340.0), (45.0, 190.0), (20.0, 75.0), (-60.0, 240.0), (10.0, 120.0))


def train_recipe(recipe: Recipe, prepared: Prepared, work: Path, *, stages: int | None = None) -> Network:
    """Run all stages of a recipe, going on from the checkpoints in a folder.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    prepared : Prepared
        Its data.
    work : Path
        Folder of checkpoints and logs.
    stages : int, optional
        Run only so many of them.

    Returns
    -------
    Network
        With the averaged weights of the last stage.
    """
    network: Network | None = None
    for number, stage in enumerate(recipe.stages[:stages], start=1):
        source, grid = prepared.source(recipe.train, stage.every), prepared.thinned_grid(stage.every)
        torch.manual_seed(stage.schedule.seed)
        if network is None:
            network = build_network(replace(recipe.network, **stage.changes), recipe.step)
            if recipe.start_from_persistence:
                start_from_damped_persistence(network, source, grid, stage.schedule.seed)
        elif stage.changes:
            network = taken_over(network, replace(network.spec, **stage.changes))
        if stage.restart_gates and isinstance(network.core, FAConvLSTMCell):
            network.core.squeeze_excitation.reinitialise()
        train(
            network,
            source,
            grid,
            stage.schedule,
            stage.objective or recipe.objective,
            learning=stage.learning,
            checkpoint=work / f"{recipe.name}-{number}.checkpoint",
            log=work / f"{recipe.name}-{number}.jsonl",
        )
    if network is None:
        raise ArgumentError(
            "a recipe needs at least one stage", fix="Recipe(stages=(Stage(Schedule(updates=100)),), ...)"
        )
    return network


def taken_over(network: Network, spec: NetworkSpec) -> Network:
    """Build a network with other parts that takes over what it shares with a trained one.

    Parameters
    ----------
    network : Network
        The trained network.
    spec : NetworkSpec
        The other one.

    Returns
    -------
    Network
        Weights of the same name and shape are the trained ones, others are new.
    """
    built, known = build_network(spec, network.step), network.state_dict()
    kept = {name: known[name] for name, new in built.state_dict().items() if name in known}
    shared = {name: value for name, value in kept.items() if value.shape == built.get_parameter(name).shape}
    built.load_state_dict(shared, strict=False)
    return built


def measure(recipe: Recipe, prepared: Prepared, network: Network, *, every: int = 1) -> dict[str, Any]:
    """Measure a network on the test years.

    Parameters
    ----------
    recipe : Recipe
        Its years, segment and warm-up.
    prepared : Prepared
        The data.
    network : Network
        The network.
    every : int
        Measure on every so-manyth point of the grid in both directions.

    Returns
    -------
    dict
        ``"forecast"`` and ``"hidden_sectors"``.
    """
    source = prepared.source(recipe.train, every)
    grid = prepared.thinned_grid(every)
    names = [variable.name for variable in recipe.variables]
    test = prepared.stretch(recipe.test)
    forecast = forecast_skill(
        network,
        source,
        grid,
        prepared.climatology.scale[:, ::every, ::every],
        names,
        train=prepared.stretch(recipe.train),
        test=test,
        segment=recipe.segment,
        warmup=recipe.warmup,
    )
    hidden = hidden_skill(
        network,
        source,
        grid,
        names,
        test=test,
        window=recipe.hidden_window[0],
        warm_steps=recipe.hidden_window[1],
        repeats=2 if recipe.step == "1M" else 1,
    )
    return {"forecast": forecast, "hidden_sectors": hidden}


def measure_control(recipe: Recipe, prepared: Prepared, work: Path) -> dict[str, Any]:
    """Train the same network without attention by the same stages, and measure both on the grid of the last of them.

    Parameters
    ----------
    recipe : Recipe
        The recipe with attention; its own stages are trained first where their checkpoints are not there.
    prepared : Prepared
        The data.
    work : Path
        Folder of checkpoints and logs.

    Returns
    -------
    dict
        Share of the hidden variance explained, and lead 1 against damped persistence: with attention, with it removed,
        and trained without it.
    """
    count = recipe.compared_stages
    bare = control_recipe(recipe)
    attentive = train_recipe(recipe, prepared, work, stages=count)
    networks = {
        "with_attention": attentive,
        "attention_removed": without_attention(attentive),
        "trained_without_attention": train_recipe(bare, prepared, work, stages=count),
    }
    every = recipe.stages[count - 1].every
    updates = sum(stage.schedule.updates for stage in recipe.stages[:count])
    out: dict[str, Any] = {"updates": updates, "every": every}
    for name, network in networks.items():
        out[name] = measure(recipe, prepared, network, every=every)
    return out


def control_recipe(recipe: Recipe) -> Recipe:
    """Give the same recipe for networks without attention.

    Parameters
    ----------
    recipe : Recipe
        With attention.

    Returns
    -------
    Recipe
        Named after the other one, so that its checkpoints lie beside them.

    Examples
    --------
    >>> control_recipe(RECIPES["amip-daily-5p6deg"]).network.attention_every
    0
    """
    network = replace(recipe.network, attention_every=0)
    return replace(recipe, name=f"{recipe.name}-control", network=network)


def attention_variation(recipe: Recipe, prepared: Prepared, network: Network) -> float:
    """Share of the variance of the attention maps that lies in time, over some base points of the test years.

    Parameters
    ----------
    recipe : Recipe
        Its years and warm-up.
    prepared : Prepared
        The data.
    network : Network
        A network with axial attention.

    Returns
    -------
    float
        0 if the maps never change, 1 if every map averages to the same everywhere.
    """
    test = prepared.stretch(recipe.test)
    length = min(test.stop - test.start, 72)
    batch = prepared.source(recipe.train).read([test.start], length)
    geometry = Geometry.from_grid(prepared.grid, network.spec.domain, network.spec.periodic)
    points = _base_points(prepared.grid)
    with torch.inference_mode():
        values, seen = network_input(batch.fields, torch.zeros(1, dtype=torch.bool))
        encoded = network.encode(values, seen, batch.year_phase, batch.day_phase, geometry, keep_from=recipe.warmup)
        maps = network.attention(encoded.hidden, geometry, points)[0].mean(dim=2) / geometry.normalised_area
    weights = geometry.normalised_area
    in_time = (maps.var(dim=0, correction=0) * weights).sum((-1, -2))
    in_space = ((maps.mean(dim=0) - 1) ** 2 * weights).sum((-1, -2))
    return float(f"{float((in_time / (in_time + in_space)).mean()):.3g}")


def _base_points(grid: Grid) -> list[tuple[int, int]]:
    """Rows and columns of some base points; of a region its quarters."""
    rows, columns = grid.shape
    if not grid.is_global:
        return [(rows * i // 4, columns * j // 4) for i in (1, 2, 3) for j in (1, 2, 3)]
    latitude, longitude = np.asarray(grid.latitude), np.asarray(grid.longitude)
    return [(int(abs(latitude - y).argmin()), int(abs(longitude - x).argmin())) for y, x in _BASE_POINTS]


def finish(recipe: Recipe, prepared: Prepared, network: Network, work: Path) -> Model:
    """Measure a trained network and make the model with its card.

    Parameters
    ----------
    recipe : Recipe
        Words of the card.
    prepared : Prepared
        The data.
    network : Network
        The trained network.
    work : Path
        Folder with the control's measurements, where it was trained.

    Returns
    -------
    Model
    """
    command = f"python -m xfaconv.training.packaged {recipe.name} --data ../shared/data"
    metrics: dict[str, Any] = {"command": command, **measure(recipe, prepared, network)}
    removed = measure(recipe, prepared, without_attention(network))
    metrics["attention_removed"] = removed
    control = work / f"{recipe.name}-control.json"
    if control.exists():
        compared = json.loads(control.read_text(encoding="utf-8"))
        metrics["attention_worth"] = {"command": f"{command} --control", **compared}
    every = recipe.stages[recipe.compared_stages - 1].every if recipe.step == "1M" else 2
    metrics["hidden_sectors_linear"] = linear_answer(
        prepared.source(recipe.train, every),
        prepared.thinned_grid(every),
        [variable.name for variable in recipe.variables],
        train=prepared.stretch(recipe.train),
        test=prepared.stretch(recipe.test),
        sectors=8 if recipe.step == "1M" else 3,
    )
    metrics["one_step"] = one_step_skill(
        network,
        prepared.source(recipe.train),
        prepared.grid,
        prepared.climatology.scale,
        [variable.name for variable in recipe.variables],
        train=prepared.stretch(recipe.train),
        test=prepared.stretch(recipe.test),
        segment=recipe.segment,
        warmup=recipe.warmup,
        block=12 if recipe.step == "1M" else 30,
    )
    metrics["attention_variance_in_time"] = attention_variation(recipe, prepared, network)
    metrics["updates"] = sum(stage.schedule.updates for stage in recipe.stages)
    text = recipe.text
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        description=str(text["description"]),
        source=cast('Literal["simulation", "reanalysis", "user"]', text["source"]),
        data=str(text["data"]),
        years={"train": " to ".join(recipe.train), "test": " to ".join(recipe.test)},
        variables=recipe.variables,
        grid=prepared.grid,
        step=recipe.step,
        segment=recipe.segment,
        warmup=recipe.warmup,
        network=network.spec,
        climatology_harmonics=recipe.harmonics,
        licence=str(text["licence"]),
        citation=str(text["citation"]),
        metrics=metrics,
        known_failures=tuple(text["known_failures"]),
    )
    return Model.from_network(card, network, prepared.climatology)


def main() -> None:
    """Train, measure and write one packaged model, or its control without attention."""
    parser = argparse.ArgumentParser(description=__doc__)
    recipes = {**RECIPES, PERU.name: PERU}
    parser.add_argument("name", choices=sorted(recipes))
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("training-runs"), help="folder of checkpoints and logs")
    parser.add_argument("--out", type=Path, default=_WEIGHTS, help="folder of the model file")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--control", action="store_true", help="train the same network without attention instead")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = recipes[arguments.name]
    prepared = prepare(recipe, arguments.data)
    if arguments.control:
        compared = json.dumps(measure_control(recipe, prepared, arguments.work), indent=1)
        (arguments.work / f"{recipe.name}-control.json").write_text(compared, encoding="utf-8")
        return
    network = train_recipe(recipe, prepared, arguments.work)
    finish(recipe, prepared, network, arguments.work).save(arguments.out / f"{recipe.name}.safetensors")


if __name__ == "__main__":
    main()
