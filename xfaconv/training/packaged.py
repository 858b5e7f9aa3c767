"""Make a packaged model from the shared data: ``python -m xfaconv.training.packaged NAME --data ../shared/data``."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from xfaconv.grid import Grid, nearest_cell
from xfaconv.models import Model
from xfaconv.models.registry import MODELS
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.specs import ModelCard, NetworkSpec
from xfaconv.training.data import TrainingData
from xfaconv.training.evaluation import (
    forecast_skill,
    hidden_skill,
    linear_answer,
    linear_part,
    one_step_skill,
    without_attention,
)
from xfaconv.training.interpolation import fit_interpolation, fold_interpolation
from xfaconv.training.loop import start_from_damped_persistence, train
from xfaconv.training.objective import network_input
from xfaconv.training.recipes import Recipe, read_recipes, recipe_data

_BASE_POINTS = ((0.0, 220.0), (65.0, 340.0), (45.0, 190.0), (20.0, 75.0), (-60.0, 240.0), (10.0, 120.0))


def train_recipe(recipe: Recipe, data: TrainingData, work: Path, *, stages: int | None = None) -> Network:
    """Run all stages of a recipe, going on from the checkpoints in a folder.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data : TrainingData
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
    first, whole = recipe.stages[0], data
    torch.manual_seed(first.schedule.seed)
    network = build_network(replace(recipe.network, **first.changes), recipe.step)
    if recipe.start_from_persistence:
        data = whole.strided(first.stride)
        start_from_damped_persistence(network, data.windows(), data.grid, first.schedule.seed)
    fit_interpolation(network, whole.windows(), whole.grid, first.schedule.seed)
    folds = fold_interpolation(network, whole.windows(), whole.grid, first.schedule.seed)
    for number, stage in enumerate(recipe.stages[:stages], start=1):
        data = whole.strided(stage.stride)
        if number > 1:
            torch.manual_seed(stage.schedule.seed)
            network = taken_over(network, replace(network.spec, **stage.changes)) if stage.changes else network
        if stage.reinitialise_gates and isinstance(network.core, FAConvLSTMCell):
            network.core.squeeze_excitation.reinitialise()
        train(
            network,
            data.windows(),
            data.grid,
            stage.schedule,
            stage.objective or recipe.objective,
            learning=stage.learning,
            folds=[replace(fold, source=replace(fold.source, fields=data.fields)) for fold in folds],
            checkpoint=work / f"{recipe.name}-{number}.checkpoint",
            log=work / f"{recipe.name}-{number}.jsonl",
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
    new = built.state_dict()
    shared = [name for name, value in known.items() if name in new and value.shape == new[name].shape]
    built.load_state_dict({name: known[name] for name in shared}, strict=False)
    return built


def with_leading_eofs(network: Network, eofs: int | None) -> Network:
    """Copy a network with the leading EOFs of its interpolation alone.

    Parameters
    ----------
    network : Network
        Left as it is.
    eofs : int or None
        How many; None keeps all.

    Returns
    -------
    Network
    """
    if eofs is None or network.interpolation is None:
        return copy.deepcopy(network)
    known = network.state_dict()
    for name, value in network.interpolation.state_dict().items():
        known[f"interpolation.{name}"] = (
            value[..., :eofs] if name == "regression" else value[:eofs] if value.ndim else value
        )
    kept = build_network(replace(network.spec, eofs=eofs), network.step)
    kept.load_state_dict(known)
    return kept.eval()


def measure(recipe: Recipe, data: TrainingData, network: Network) -> dict[str, Any]:
    """Measure a network on the test years.

    Parameters
    ----------
    recipe : Recipe
        Its segment, warm-up and windows.
    data : TrainingData
        The data, on the grid to measure on.
    network : Network
        The network.

    Returns
    -------
    dict
        ``"forecast"`` and ``"hidden_sectors"``.
    """
    window, warm_steps = recipe.measured.hidden_window
    repeats = recipe.measured.hidden_repeats
    return {
        "forecast": forecast_skill(network, data, segment=recipe.segment, warmup=recipe.warmup),
        "hidden_sectors": hidden_skill(network, data, window=window, warm_steps=warm_steps, repeats=repeats),
    }


def _linear_part(recipe: Recipe, data: TrainingData, network: Network) -> dict[str, Any]:
    """Measure what the network starts from: optimal interpolation and damped persistence, without what it learned."""
    if network.interpolation is None:
        return {}
    return {"interpolation_alone": measure(recipe, data, linear_part(network, data))}


def measure_control(recipe: Recipe, data: TrainingData, work: Path) -> dict[str, Any]:
    """Train the same network without attention by the same stages, and measure both on the grid of the last of them.

    Parameters
    ----------
    recipe : Recipe
        The recipe with attention; its own stages are trained first where their checkpoints are not there.
    data : TrainingData
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
    attentive = train_recipe(recipe, data, work, stages=count)
    networks = {
        "with_attention": attentive,
        "attention_removed": without_attention(attentive),
        "trained_without_attention": train_recipe(control_recipe(recipe), data, work, stages=count),
    }
    stride = recipe.stages[count - 1].stride
    measured = {name: measure(recipe, data.strided(stride), network) for name, network in networks.items()}
    return {"updates": recipe.updates(count), "stride": stride, **measured}


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
    >>> control_recipe(read_recipes()["amip-daily-5p6deg"]).network.attention_every
    0
    """
    network = replace(recipe.network, attention_every=0)
    return replace(recipe, name=f"{recipe.name}-control", network=network)


def attention_variation(
    recipe: Recipe, data: TrainingData, network: Network, weigh: Literal["attention", "values"] = "attention"
) -> float:
    """Share of the variance of the attention maps that is in time, over some base points of the test years.

    Parameters
    ----------
    recipe : Recipe
        Its warm-up.
    data : TrainingData
        The data.
    network : Network
        A network with axial attention.
    weigh : {"attention", "values"}
        Maps of the weights, or of what is read.

    Returns
    -------
    float
        0 if the maps never change, 1 if every map averages to the same everywhere.
    """
    length = min(data.test.stop - data.test.start, 72)
    batch = data.windows().read([data.test.start], length)
    geometry = Geometry.from_grid(data.grid, network.spec.domain, network.spec.periodic)
    with torch.inference_mode():
        values, seen = network.fill(*network_input(batch.fields, torch.zeros(1, dtype=torch.bool)), geometry)
        encoded = network.encode(values, seen, batch.year_phase, batch.day_phase, geometry, keep_from=recipe.warmup)
        phases = batch.year_phase[:, recipe.warmup :], batch.day_phase[:, recipe.warmup :]
        points = usual_base_points(data.grid)
        maps = network.attention(encoded.hidden, geometry, points, phases, weigh=weigh, heads=False)[0]
    maps, weights = maps / geometry.normalised_area, geometry.normalised_area
    in_time = (maps.var(dim=0, correction=0) * weights).sum((-1, -2))
    in_space = ((maps.mean(dim=0) - 1) ** 2 * weights).sum((-1, -2))
    return float(f"{float((in_time / (in_time + in_space)).mean()):.3g}")


def usual_base_points(grid: Grid) -> list[tuple[int, int]]:
    """Rows and columns of some base points; of a region its quarters."""
    rows, columns = grid.shape
    if not grid.is_global:
        return [(rows * i // 4, columns * j // 4) for i in (1, 2, 3) for j in (1, 2, 3)]
    return [nearest_cell(grid, *point) for point in _BASE_POINTS]


def finish(recipe: Recipe, data: TrainingData, network: Network, work: Path, options: str = "") -> Model:
    """Measure a trained network and make the model with its card.

    Parameters
    ----------
    recipe : Recipe
        Words of the card.
    data : TrainingData
        The data.
    network : Network
        The trained network.
    work : Path
        Folder with the control's measurements, where it was trained.
    options : str
        Arguments of the command after the name of the recipe, for the card.

    Returns
    -------
    Model
    """
    # Measured as it is written: in 16 bits, and with the EOFs that are kept.
    network = with_leading_eofs(network, recipe.kept_eofs).half().float()
    command, measured = f"python -m xfaconv.training.packaged {recipe.name} {options}".strip(), recipe.measured
    metrics: dict[str, Any] = {
        "command": command,
        **measure(recipe, data, network),
        "attention_removed": measure(recipe, data, without_attention(network)),
        **_linear_part(recipe, data, network),
    }
    control = work / f"{recipe.name}-control.json"
    if control.exists():
        compared = json.loads(control.read_text(encoding="utf-8"))
        metrics["attention_worth"] = {"command": f"{command} --control", **compared}
    metrics |= {
        "hidden_sectors_linear": linear_answer(data.strided(measured.linear_stride), sectors=measured.linear_sectors),
        "one_step": one_step_skill(network, data, segment=recipe.segment, warmup=recipe.warmup, block=measured.block),
        "attention_variance_in_time": attention_variation(recipe, data, network),
        "values_variance_in_time": attention_variation(recipe, data, network, "values"),
        "updates": recipe.updates(),
    }
    card = ModelCard(
        name=recipe.name,
        title=recipe.title,
        **vars(recipe.words),
        years={"train": " to ".join(recipe.train), "test": " to ".join(recipe.test)},
        variables=recipe.variables,
        grid=data.grid,
        step=recipe.step,
        segment=recipe.segment,
        warmup=recipe.warmup,
        network=network.spec,
        climatology_harmonics=recipe.harmonics,
        metrics=metrics,
    )
    return Model.from_network(card, network, data.climatology)


def main(words: Sequence[str] | None = None) -> None:
    """Train, measure and write one packaged model, or its control without attention."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe")
    parser.add_argument("--recipes", type=Path, help="file of recipes, by default those of the packaged models")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--work", type=Path, default=Path("training-runs"), help="folder of checkpoints and logs")
    parser.add_argument("--out", type=Path, default=MODELS.folder, help="folder of the model file")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--control", action="store_true", help="train the same network without attention instead")
    arguments = parser.parse_args(words)
    torch.set_num_threads(arguments.threads)
    recipes = read_recipes(arguments.recipes)
    if arguments.name not in recipes:
        parser.error(f"there is no recipe {arguments.name!r}; choose from {', '.join(sorted(recipes))}")
    recipe, data = recipes[arguments.name], recipe_data(recipes[arguments.name], arguments.data)
    if arguments.control:
        compared = json.dumps(measure_control(recipe, data, arguments.work), indent=1)
        (arguments.work / f"{recipe.name}-control.json").write_text(compared, encoding="utf-8")
        return
    network = train_recipe(recipe, data, arguments.work)
    options = f"--data {arguments.data}" + (f" --recipes {arguments.recipes}" if arguments.recipes else "")
    finish(recipe, data, network, arguments.work, options).save(arguments.out / f"{recipe.name}.safetensors")


if __name__ == "__main__":
    main()
