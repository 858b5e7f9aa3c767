"""Recipes of the packaged models, read from `recipes.yaml`: data, years, network, stages, and the words of the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
import yaml

from xfaconv.adapt import TimeAxis, adapt
from xfaconv.errors import ArgumentError, VariableError
from xfaconv.specs import InputSpec, NetworkSpec, VariableSpec
from xfaconv.training.data import TrainingData, training_data
from xfaconv.training.loop import Schedule
from xfaconv.training.objective import Objective


@dataclass(frozen=True)
class Stage:
    """One run of the training loop.

    Parameters
    ----------
    schedule : Schedule
        Length and pace.
    stride : int
        Grid stride in both directions; 1 is the whole grid.
    objective : Objective, optional
        What this stage asks for, by default what the recipe does.
    changes : mapping of str to object
        Entries of the network's spec that are others from here on; weights of the same name and shape are taken over.
    learning : tuple of str
        Names of the parts that learn, such as ``"head"``, while the others stay; by default all do.
    reinitialise_gates : bool
        Whether the squeeze-excitation's middle layer gets fresh weights, its gates starting at their biases.
    """

    schedule: Schedule
    stride: int = 1
    objective: Objective | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    learning: tuple[str, ...] = ()
    reinitialise_gates: bool = False


@dataclass(frozen=True)
class Measured:
    """How a trained network is measured on the test years.

    Parameters
    ----------
    hidden_window : (int, int)
        Steps of the windows in which sectors are hidden, and those at their start that are not counted.
    hidden_repeats : int
        Sectors drawn for each of these windows.
    linear_stride, linear_sectors : int
        Grid stride and number of sectors of the linear answer.
    block : int
        Steps in a block of the bootstrap.
    """

    hidden_window: tuple[int, int] = (10, 4)
    hidden_repeats: int = 1
    linear_stride: int = 2
    linear_sectors: int = 3
    block: int = 30


@dataclass(frozen=True)
class Words:
    """What the card says in words; the entries of `ModelCard` of the same names."""

    source: Literal["simulation", "reanalysis"]
    description: str
    data: str
    licence: str
    citation: str
    known_failures: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """All that determines a packaged model.

    Parameters
    ----------
    name, title : str
        Registry name and one line.
    files : str
        Files below the data folder, as a glob.
    step : str
        Time step.
    variables : tuple of VariableSpec
        Input variables in order.
    network : NetworkSpec
        The network of the first stage.
    stages : tuple of Stage
        Runs of the training loop, one after the other.
    train, test : (str, str)
        First and last date of training and of testing; everything between them is left out.
    segment, warmup : int
        Steps kept and spun up when the model is applied.
    words : Words
        Words of the card.
    objective : Objective
        What training asks for.
    harmonics : int
        Harmonics of the year in the climatology.
    start_from_persistence : bool
        Whether the new network starts at the forecast of damped persistence.
    compared_stages : int
        After how many stages the network is compared with the same one trained without attention.
    measured : Measured
        How it is measured.
    kept_eofs : int, optional
        Leading EOFs of the interpolation that are written, where fewer than it was trained with, so that the file stays
        small.

    Raises
    ------
    ArgumentError
        If there is no stage, or the years of testing do not follow those of training.
    TypeError
        If a stage changes an entry that the network's spec does not have.
    """

    name: str
    title: str
    files: str
    step: str
    variables: tuple[VariableSpec, ...]
    network: NetworkSpec
    stages: tuple[Stage, ...]
    train: tuple[str, str]
    test: tuple[str, str]
    segment: int
    warmup: int
    words: Words
    objective: Objective = field(default_factory=Objective)
    harmonics: int = 2
    start_from_persistence: bool = False
    compared_stages: int = 1
    measured: Measured = field(default_factory=Measured)
    kept_eofs: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.compared_stages <= len(self.stages):
            raise ArgumentError(
                "a recipe needs at least one stage, and as many as it compares",
                found=f"{len(self.stages)} stages, compared_stages={self.compared_stages}",
                fix="stages: [{schedule: {updates: 100}}]",
            )
        if not self.train[0] <= self.train[1] < self.test[0] <= self.test[1]:
            raise ArgumentError(
                "the years of testing must follow those of training", found=f"train {self.train}, test {self.test}"
            )
        for stage in self.stages:
            replace(self.network, **stage.changes)

    def updates(self, stages: int | None = None) -> int:
        """Count the updates of the weights in all stages, or in the first of them.

        Parameters
        ----------
        stages : int, optional
            Number of stages.

        Returns
        -------
        int
        """
        return sum(stage.schedule.updates for stage in self.stages[:stages])


def read_recipe(name: str, entry: Mapping[str, Any]) -> Recipe:
    """Make a recipe of an entry of `recipes.yaml`.

    Parameters
    ----------
    name : str
        Registry name.
    entry : mapping
        Fields of `Recipe` by name; lists for tuples.

    Returns
    -------
    Recipe

    Raises
    ------
    ArgumentError
        If an entry is missing or unknown.

    Examples
    --------
    >>> read_recipe("mine", {"titel": "A typing error"})
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: recipe 'mine' cannot be read
      found:    KeyError: 'variables'
      fix:      compare its entries with those of the others in xfaconv/training/recipes.yaml
    """
    try:
        parts = _with_tuples(entry)
        parts["variables"] = tuple(VariableSpec(**variable) for variable in parts["variables"])
        parts["network"] = NetworkSpec(variables=len(parts["variables"]), **parts["network"])
        parts["stages"] = tuple(_stage(**stage) for stage in parts["stages"])
        parts["words"] = Words(**parts["words"])
        parts["objective"] = Objective(**parts.get("objective", {}))
        parts["measured"] = Measured(**parts.get("measured", {}))
        return Recipe(name=name, **parts)
    except (KeyError, TypeError) as problem:
        raise ArgumentError(
            f"recipe {name!r} cannot be read",
            found=f"{type(problem).__name__}: {problem}",
            fix="compare its entries with those of the others in xfaconv/training/recipes.yaml",
        ) from problem


def _stage(schedule: Mapping[str, Any], objective: Mapping[str, Any] | None = None, **others: Any) -> Stage:
    return Stage(Schedule(**schedule), objective=None if objective is None else Objective(**objective), **others)


def _with_tuples(value: Any) -> Any:
    """Put tuples in place of lists at every depth, and text in place of the dates that YAML makes of 2001-01-01."""
    if isinstance(value, date):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _with_tuples(part) for name, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def read_recipes(file: Path | None = None) -> dict[str, Recipe]:
    """Read all recipes of a YAML file.

    Parameters
    ----------
    file : path-like, optional
        By default the recipes of the packaged models.

    Returns
    -------
    dict of str to Recipe

    Examples
    --------
    >>> read_recipes()["ncep-monthly-2p5deg"].step
    '1M'
    """
    text = (file or resources.files("xfaconv.training").joinpath("recipes.yaml")).read_text(encoding="utf-8")
    return {name: read_recipe(name, entry) for name, entry in yaml.safe_load(text)["recipes"].items()}


def recipe_data(recipe: Recipe, folder: Path) -> TrainingData:
    """Read the data of a recipe into memory.

    Parameters
    ----------
    recipe : Recipe
        What to read.
    folder : Path
        Folder of the data.

    Returns
    -------
    TrainingData

    Raises
    ------
    VariableError
        If the files are not there.
    """
    files = sorted(folder.glob(recipe.files))
    if not files:
        raise VariableError(f"no training data {recipe.files} in {folder}", fix="pass --data FOLDER")
    one_after_another: dict[str, Any] = {"combine": "nested", "concat_dim": "time", "data_vars": "minimal"}
    with xr.open_mfdataset(files, **one_after_another, coords="minimal", compat="override") as ds:
        conformed = adapt(ds, InputSpec(recipe.variables, step=recipe.step), regrid=None, climatology=None)
        conformed = replace(conformed, data=conformed.data.compute())
    train, test = (_between(conformed.time, *years) for years in (recipe.train, recipe.test))
    return training_data(conformed, recipe.variables, train, test, recipe.harmonics)


def _between(axis: TimeAxis, first: str, last: str) -> slice:
    """Positions from a first to a last date, to the day or the month, both included."""
    inside = np.flatnonzero((axis.values >= np.datetime64(first)) & (axis.values < np.datetime64(last) + 1))
    return slice(int(inside[0]), int(inside[-1]) + 1)


RECIPES = read_recipes()
