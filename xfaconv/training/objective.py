"""The training loss: hidden sectors and boxes, absent variables, leads, and reconstruction from the embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xfaconv.arguments import is_whole
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network, area_weighted_error, laplacian_smoothness, temporal_smoothness
from xfaconv.training.data import Batch


@dataclass(frozen=True)
class Objective:
    """Shares and weights of the parts of the training loss.

    Parameters
    ----------
    sector_share, box_share : float
        Share of the samples in which a sector (all latitudes) or a box is hidden in all variables for the whole window.
    sector_width : (float, float)
        Least and greatest width of a hidden sector [degrees of longitude]; on a region, of its own width in 1/360.
    variable_dropout : float
        Probability of each variable to be absent from a sample.
    warm_steps : int
        Steps at the start of a window that carry no loss.
    hidden_weight, lead_weight, reconstruction_weight : float
        Weights of the hidden values, of each lead, and of the reconstruction from the embedding.
    laplacian_weight, temporal_weight : float
        The paper's lambda_s and lambda_t.
    outlook_weight : float
        Weight of the fields at each lead from the embedding, for networks with an outlook.
    input_weight : float
        Weight of the root sum of squares of the weights through which each variable enters, summed over the variables
        (a group lasso, Yuan and Lin 2006); in the second half of a run. A small weight, such as 0.02, shuts out a
        variable that carries no information, and its importance falls to next to nothing by every method; without one
        its weights stay near their random initial values, and gates show those.
    target : (float, float, float, float), optional
        Box (south, north, west, east) [degrees] whose values alone carry the loss of hidden values and of leads: for a
        network that is to answer one question. By default all cells do.
    target_variable : str or int, optional
        Name (in `xfaconv.fit`), or position among the variables of the network, of the one that carries this loss; by
        default all do.
    """

    sector_share: float = 0.5
    box_share: float = 0.25
    sector_width: tuple[float, float] = (120.0, 200.0)
    variable_dropout: float = 0.1
    warm_steps: int = 4
    hidden_weight: float = 2.0
    lead_weight: float = 1.0
    reconstruction_weight: float = 0.25
    laplacian_weight: float = 1e-4
    temporal_weight: float = 1e-4
    outlook_weight: float = 0.25
    input_weight: float = 0.0
    target: tuple[float, float, float, float] | None = None
    target_variable: str | int | None = None

    def asked(self, grid: Grid, variables: int) -> NDArray[np.bool_]:
        """Say which values carry the loss of hidden values and of leads.

        Parameters
        ----------
        grid : Grid
            The grid.
        variables : int
            Number of variables of the network.

        Returns
        -------
        ndarray (variable, lat, lon)

        Raises
        ------
        ArgumentError
            If the box holds no cell of the grid, or there is no such variable.

        Examples
        --------
        >>> Objective(target=(0, 90, 0, 360), target_variable=1).asked(Grid.regular(90.0), 2).astype(int).tolist()
        [[[0, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [1, 1, 1, 1]]]
        """
        cells = np.ones(grid.shape, dtype=bool)
        if self.target is not None:
            south, north, west, east = self.target
            rows = (np.asarray(grid.latitude) >= south) & (np.asarray(grid.latitude) <= north)
            cells = rows[:, None] & ((np.asarray(grid.longitude) - west) % 360 <= east - west)
            if not cells.any():
                raise ArgumentError("the target of the objective holds no cell", found=str(self.target))
        number = self.target_variable
        if number is None:
            return np.broadcast_to(cells, (variables, *grid.shape))
        if not is_whole(number, 0) or int(number) >= variables:
            raise ArgumentError(
                "the network has no such target_variable",
                expected=f"a position below {variables}; a name in xfaconv.fit alone",
                found=repr(number),
            )
        return (np.arange(variables) == number)[:, None, None] & cells


def hidden_sector(grid: Grid, random: np.random.Generator, width: tuple[float, float]) -> NDArray[np.bool_]:
    """Hide a sector from pole to pole.

    Parameters
    ----------
    grid : Grid
        The grid.
    random : numpy.random.Generator
        Source of random numbers.
    width : (float, float)
        Least and greatest width [degrees], taken relative to the width of a regional grid.

    Returns
    -------
    ndarray (lat, lon)
        True where hidden.
    """
    return np.broadcast_to(_columns_hidden(grid, random, width), grid.shape).copy()


def hidden_box(grid: Grid, random: np.random.Generator) -> NDArray[np.bool_]:
    """Hide a box of 35 to 60 degrees of latitude by 55 to 110 of longitude (of a region: the same shares of its size).

    Parameters
    ----------
    grid : Grid
        The grid.
    random : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    ndarray (lat, lon)
        True where hidden.
    """
    latitude = np.asarray(grid.latitude)
    extent = latitude[-1] - latitude[0]
    height = extent * random.uniform(35, 60) / 180
    south = latitude[0] + random.uniform(0, extent - height)
    rows = (latitude >= south) & (latitude <= south + height)
    return rows[:, None] & _columns_hidden(grid, random, (55.0, 110.0))[None]


def _columns_hidden(grid: Grid, random: np.random.Generator, width: tuple[float, float]) -> NDArray[np.bool_]:
    longitude = np.asarray(grid.longitude)
    share = random.uniform(*width) / 360
    if grid.periodic:
        # The western edge may be anywhere, so that the seam of the array is no edge of the world.
        return np.asarray((longitude - random.uniform(0, 360)) % 360 < 360 * share)
    extent = longitude[-1] - longitude[0]
    west = longitude[0] + random.uniform(-share / 2, 1 - share / 2) * extent
    return np.asarray((longitude >= west) & (longitude <= west + share * extent))


def draw_masks(
    objective: Objective, grid: Grid, batch: int, variables: int, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw what is hidden from each sample.

    Parameters
    ----------
    objective : Objective
        Shares and sizes.
    grid : Grid
        The grid.
    batch, variables : int
        Sizes.
    random : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    cells : Tensor (batch, 1, 1, lat, lon), bool
        True where all variables are hidden.
    absent : Tensor (batch, 1, variable, 1, 1), bool
        True where a variable is absent; at least one always stays.
    """
    cells = np.zeros((batch, *grid.shape), dtype=bool)
    absent = random.uniform(size=(batch, variables)) < objective.variable_dropout
    for sample in range(batch):
        draw = random.uniform()
        if draw < objective.sector_share:
            cells[sample] = hidden_sector(grid, random, objective.sector_width)
        elif draw < objective.sector_share + objective.box_share:
            cells[sample] = hidden_box(grid, random)
        # Nothing can be learned from a sample without any variable.
        absent[sample, random.integers(variables)] = False
    return torch.from_numpy(cells)[:, None, None], torch.from_numpy(absent)[:, None, :, None, None]


def network_input(fields: Tensor, hide: Tensor) -> tuple[Tensor, Tensor]:
    """Hide values and say what is left.

    Parameters
    ----------
    fields : Tensor (batch, time, variable, lat, lon)
        NaN where missing.
    hide : Tensor, bool
        Broadcasts to `fields`; True where a value is hidden.

    Returns
    -------
    values : Tensor (batch, time, variable, lat, lon)
        0 where missing or hidden.
    visible : Tensor (batch, time, variable, lat, lon), bool
        What is left.
    """
    visible = torch.isfinite(fields) & ~hide
    return torch.where(visible, fields, 0.0), visible


def training_loss(
    network: Network, batch: Batch, geometry: Geometry, grid: Grid, objective: Objective, random: np.random.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch of windows.

    Parameters
    ----------
    network : Network
        The network.
    batch : Batch
        Windows with the longest lead appended.
    geometry, grid : Geometry, Grid
        The grid, for torch and for drawing masks.
    objective : Objective
        What is asked for.
    random : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    loss : Tensor ()
    parts : dict of str to float
        Each part before weighting.
    """
    leads = network.spec.leads
    steps = batch.fields.shape[1] - max(leads)
    cells, absent = draw_masks(objective, grid, batch.fields.shape[0], batch.fields.shape[2], random)
    hide = (cells | absent).to(batch.fields.device)
    values, seen = network.fill(*network_input(batch.fields[:, :steps], hide), geometry)
    encoded = network.encode(
        values,
        seen,
        batch.year_phase[:, :steps],
        batch.day_phase[:, :steps],
        geometry,
        keep_from=objective.warm_steps,
        keep_refined=True,
    )
    refined = encoded.refined if encoded.refined is not None else encoded.hidden
    prediction = network.predict(refined, values[:, objective.warm_steps :], geometry)
    parts: dict[str, tuple[float, Tensor]] = {}
    asked = torch.from_numpy(objective.asked(grid, network.spec.variables).copy()).to(batch.fields.device)
    for position, lead in enumerate(leads):
        target = batch.fields[:, objective.warm_steps + lead : steps + lead]
        present = torch.isfinite(target) & asked
        if lead == 0:
            # What is seen need not be inferred; the present counts where it is hidden.
            present = present & hide
        error = area_weighted_error(prediction[:, :, position], torch.nan_to_num(target), present.float(), geometry)
        parts[f"lead {lead}" if lead else "hidden"] = objective.lead_weight if lead else objective.hidden_weight, error
    for lead in [0, *map(int, network.outlook)]:
        truth = batch.fields[:, objective.warm_steps + lead : steps + lead]
        rebuilt = network.reconstruct(encoded.embedding, geometry, lead)
        error = area_weighted_error(rebuilt, torch.nan_to_num(truth), torch.isfinite(truth).float(), geometry)
        weight = objective.outlook_weight if lead else objective.reconstruction_weight
        parts[f"outlook {lead}" if lead else "reconstruction"] = weight, error
    if objective.input_weight:
        let_in: Tensor = network.core.size_of_input_weights(network.spec.variables).sum()  # type: ignore[operator]
        parts["input weights"] = objective.input_weight, let_in
    if objective.laplacian_weight:
        parts["laplacian"] = objective.laplacian_weight, laplacian_smoothness(refined, geometry)
    if objective.temporal_weight:
        parts["temporal"] = objective.temporal_weight, temporal_smoothness(refined)
    loss = sum((weight * part for weight, part in parts.values()), start=refined.new_zeros(()))
    return loss, {name: float(part.detach()) for name, (_, part) in parts.items()}
