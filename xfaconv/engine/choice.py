"""Chooses the packaged model that fits a Dataset by step, domain, resolution and variables, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np

from xfaconv.adapt import Survey
from xfaconv.adapt.regrid import refuse_finer
from xfaconv.adapt.resampling import is_finer, resampling_line
from xfaconv.errors import GridError, ModelError
from xfaconv.grid import Grid
from xfaconv.models import Model, list_models, load_model
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec

Lacking = Callable[[Sequence[VariableSpec]], Sequence[str]]

# Data that cover more than so many times the area of a regional model are not of its region: results would describe a
# part of them without having been asked to.
_FAR_BEYOND = 2.0
# With fewer of its variables a model reads its climatology more than the data.
_MOST_OF_THEM = 0.5
# As wide as the label that an error puts before it.
_EACH_ON_A_LINE = "\n" + " " * 12


@dataclass(frozen=True)
class Choice:
    """A model and how it came to be used.

    Parameters
    ----------
    model : Model
        The model.
    reason : str
        One sentence for the attributes of results.
    """

    model: Model
    reason: str


def has_gates(spec: NetworkSpec) -> bool:
    """Whether a network has squeeze-excitation gates, told before torch is imported.

    Examples
    --------
    >>> has_gates(NetworkSpec(variables=2)), has_gates(NetworkSpec(variables=2, architecture="cnn"))
    (True, False)
    """
    return spec.architecture == "faconvlstm"


def require_ability(spec: NetworkSpec, ability: Literal["gates", "attention"]) -> None:
    """Refuse a network without squeeze-excitation gates, or without axial attention.

    Parameters
    ----------
    spec : NetworkSpec
        The network.
    ability : {"gates", "attention"}
        What is needed.

    Raises
    ------
    ModelError
        If it has none.
    """
    if has_gates(spec) and (ability == "gates" or spec.attention_every):
        return
    lacks = "squeeze-excitation gates" if ability == "gates" else "axial attention, so there are no maps"
    raise ModelError(
        f"this model has no {lacks}",
        expected="architecture 'faconvlstm'" + (" and attention_every from 1" if ability == "attention" else ""),
        found=f"{spec.architecture}, attention_every={spec.attention_every}",
        fix="model='ncep-monthly-2p5deg'  # or another name of xfaconv.list_models()",
    )


def packaged_models() -> list[Model]:
    """Give the models inside the package; to use a registered one might download it, which the user decides.

    Examples
    --------
    >>> all(model.card.name for model in packaged_models())
    True
    """
    folder = files("xfaconv.models") / "weights"
    return [load_model(name) for name in list_models() if (folder / f"{name}.safetensors").is_file()]


def choose_model(
    grid: Grid, step: str, lacking: Lacking, *, absent: str, regridded: bool = True, found: Survey | None = None
) -> Choice:
    """Choose among the packaged models.

    Parameters
    ----------
    grid : Grid
        Grid of the data.
    step : str
        Time step of the data.
    lacking : callable
        Gives the names of those of some variables that the data lack.
    absent : {"raise", "climatology"}
        Whether a model may miss some of its variables.
    regridded : bool
        Whether the data are brought to the model's grid; on their own grid any resolution will do.
    found : Survey, optional
        What was found in the data, whose names the line that fixes an error uses.

    Returns
    -------
    Choice
        The model that finds most of its variables; of those the one that needs most, then the first by name.

    Raises
    ------
    ModelError
        If none fits, saying for each why.
    """
    fitting: list[tuple[int, int, str, Model]] = []
    refused: list[str] = []
    for model in packaged_models():
        card = model.card
        problem = misfit(card, grid, step, lacking, absent=absent, regridded=regridded)
        if problem is None:
            fitting.append((len(lacking(card.variables)), -len(card.variables), card.name, model))
        else:
            refused.append(f"{card.name}: {problem}")
    if not fitting:
        raise ModelError(
            "no packaged model fits this Dataset",
            expected=_EACH_ON_A_LINE.join(refused) or "at least one packaged model",
            found=f"step {step}, {found.axes.describe() if found and found.axes else grid.describe()}",
            fix=_way_out(grid, step, lacking, found, regridded),
        )
    *_, model = min(fitting, key=lambda entry: entry[:3])
    return Choice(model, _reason(model.card, step, lacking(model.card.variables)))


def _reason(card: ModelCard, step: str, gone: Sequence[str]) -> str:
    """Say why a model was chosen, and what a reader of the results must know of it at once."""
    count = len(card.variables)
    found = f"{count - len(gone)} of its {count} variables found, absent: {', '.join(gone)}"
    # The data may be global and the model not: its own domain is what the results cover.
    domain = "a global model" if card.grid.is_global else f"a regional model ({_extent(card.grid)})"
    learned = "; it learned from a simulation, not observations" if card.source == "simulation" else ""
    return f"chosen: step {step}, {domain}, {found if gone else 'all its variables found'}{learned}"


def _way_out(grid: Grid, step: str, lacking: Lacking, found: Survey | None, regridded: bool) -> str:
    """Write the line that makes a model fit, where little is in the way; others stand behind it as a comment."""
    near: list[tuple[int, float, int, str]] = []
    for place, model in enumerate(packaged_models()):
        card, gone = model.card, lacking(model.card.variables)
        kinds = {kind for kind, _ in _misfits(card, grid, step, gone, "raise", regridded)}
        share = 1 - len(gone) / len(card.variables)
        if "step" in kinds and found is not None and is_finer(step, card.step):
            if kinds <= {"step", "reach"} or (kinds == {"step", "variables"} and share >= _MOST_OF_THEM):
                near.append((2 * len(gone), -share, place, resampling_line(found, card.step)))
        elif kinds == {"variables"} and share >= _MOST_OF_THEM:
            named = f"variables={{{gone[0]!r}: 'its name in ds'}} where another variable may stand in"
            near.append((1, -share, place, f"absent='climatology'  # or {named}"))
        elif kinds == {"reach"}:
            near.append((1, 0, place, f"model={card.name!r}  # its region alone; or {_selected(found, card.grid)}"))
    lines = [line for *_, line in sorted(near)]
    lines += [] if found is not None and not (found.variables or found.unknown) else [_training(found)]
    first, *others = lines or ["model=xfaconv.load_model('the file of a model')"]
    alternatives = "".join(f"; or {line.replace('  # ', ', ')}" for line in others)
    return first + (alternatives if "#" in first else alternatives.replace("; or", "  # or", 1))


def _training(found: Survey | None) -> str:
    """Write the line that trains a model on the data: variables that are not recognised have to be named."""
    if found is None or found.variables:
        return "model = xfaconv.fit(ds)"
    return f"model = xfaconv.fit(ds, variables={list(found.unknown)})"


def _selected(found: Survey | None, region: Grid) -> str:
    """Write the line that cuts a region out of the data, on either longitude convention and in either direction."""
    if found is None or found.axes is None:
        return "ds.sel(...) of it"
    names = found.axes.latitude.name, found.axes.longitude.name
    latitude, longitude = (f"ds[{name!r}]" for name in names)
    # With half a cell of the data more on each side, no cell of the model is covered in part only.
    rows, columns = found.axes.grid.resolution
    south, north = region.latitude_edges[0] - rows / 2, region.latitude_edges[-1] + rows / 2
    west, east = region.longitude_edges[0] - columns / 2, region.longitude_edges[-1] + columns / 2
    inside = f"({latitude} >= {south:g}) & ({latitude} <= {north:g})"
    across = f"({longitude} {'-' if west >= 0 else '+'} {abs(west):g}) % 360 <= {east - west:g}"
    return f"ds = ds.sel({{{names[0]!r}: {inside}, {names[1]!r}: {across}}})"


def misfit(
    card: ModelCard, grid: Grid, step: str, lacking: Lacking, *, absent: str, regridded: bool = True
) -> str | None:
    """Say all that keeps a model from fitting some data, None where it fits.

    Examples
    --------
    >>> model = next(iter(packaged_models()), None)
    >>> model is None or misfit(model.card, model.card.grid, "1s", lambda specs: [], absent="raise") is not None
    True
    """
    found = _misfits(card, grid, step, lacking(card.variables), absent, regridded)
    return " and ".join(words for _, words in found) or None


def _misfits(
    card: ModelCard, grid: Grid, step: str, gone: Sequence[str], absent: str, regridded: bool
) -> Iterator[tuple[str, str]]:
    """Give what keeps a model from fitting, each as its kind and in words."""
    if card.step != step:
        yield "step", f"its step is {card.step}"
    if card.grid.is_global and not grid.is_global:
        yield "domain", "it is global"
    if not card.grid.is_global and not _covers(grid, card.grid):
        yield "domain", f"its domain is {_extent(card.grid)}"
    elif not card.grid.is_global and (times := _area(grid) / _area(card.grid)) > _FAR_BEYOND:
        yield "reach", f"its domain is {_extent(card.grid)}, and the data cover {times:.0f} times that"
    if regridded and _is_coarser(grid, card.grid):
        south_north, west_east = card.grid.resolution
        yield "resolution", f"its grid of {south_north:g} x {west_east:g} degrees is finer than the data's"
    if len(gone) == len(card.variables) or (gone and absent == "raise"):
        yield "variables", f"it needs {', '.join(gone)}"


def _area(grid: Grid) -> float:
    """Area between the outer edges of a grid, in units of its own."""
    south, north = np.sin(np.deg2rad([grid.latitude_edges[0], grid.latitude_edges[-1]]))
    return float((north - south) * (360 if grid.periodic else grid.longitude_edges[-1] - grid.longitude_edges[0]))


def _extent(grid: Grid) -> str:
    """South to north and west to east of a region, without its cells."""
    return grid.describe().rsplit(", ", 2)[0]


def _is_coarser(data: Grid, model: Grid) -> bool:
    """Whether conform would refuse to bring the data to the model's grid, by its own rule."""
    try:
        refuse_finer(data, model)
    except GridError:
        return True
    return False


def _covers(outer: Grid, inner: Grid) -> bool:
    """Whether one grid reaches, give or take half of the other's cell, as far as the other."""
    south_north, west_east = (step / 2 + 1e-6 for step in inner.resolution)
    rows = (
        outer.latitude_edges[0] <= inner.latitude_edges[0] + south_north
        and outer.latitude_edges[-1] >= inner.latitude_edges[-1] - south_north
    )
    if outer.periodic:
        return bool(rows)
    offset = (inner.longitude_edges[0] - outer.longitude_edges[0] + 180) % 360 - 180
    width = inner.longitude_edges[-1] - inner.longitude_edges[0]
    room = outer.longitude_edges[-1] - outer.longitude_edges[0]
    return bool(rows and offset >= -west_east and offset + width <= room + west_east)
