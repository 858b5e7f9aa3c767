"""Reduced-space optimal interpolation: missing values as EOFs and the visible values say, before the network reads."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from xfaconv.nn.geometry import Geometry

# Rows and columns of the grid of the patterns. Anomalies of pressure and temperature are longer along latitude circles:
# with as many numbers in all, 18 x 18 with 128 EOFs infers more than 18 x 36 with 64.
PATTERN_ROWS, PATTERN_COLUMNS = 18, 18
_LEVELS = 127


class OptimalInterpolation(nn.Module):
    """The linear answer that the network corrects, for any set of missing values (Kaplan and others 1997).

    A state is taken as x = P a + e with EOF patterns P scaled so that the scores a have unit variance, and errors e of
    variance s, independent from cell to cell. Given the visible values x_o, their weights w and the
    rows P_o of P,

        a = (I + P_o' diag(w / s) P_o)^-1 P_o' diag(w / s) x_o,

    and P a stands where a value is missing. For the leads a regression of the change beyond damped persistence on the
    leading scores is added. Both are fitted to the training years (`xfaconv.training.interpolation`), and do not learn
    by gradients.

    Parameters
    ----------
    variables, modes : int
        Variables and EOFs.
    leads : tuple of int
        Leads of the read-out [steps].
    leading : int
        EOFs that the leads above 0 are regressed on.
    periodic : bool
        Whether the domain closes around the globe.
    """

    patterns: Tensor
    size: Tensor
    error: Tensor
    regression: Tensor

    def __init__(self, variables: int, modes: int, leads: tuple[int, ...], leading: int, *, periodic: bool) -> None:
        super().__init__()
        self.periodic = periodic
        # Whole numbers of 8 bits, times a size for each EOF: 128 EOFs of 5 variables take 207 kB.
        shape = modes, variables, PATTERN_ROWS, PATTERN_COLUMNS
        self.register_buffer("patterns", torch.zeros(shape, dtype=torch.int8))
        self.register_buffer("size", torch.zeros(modes))
        self.register_buffer("error", torch.ones(()))
        self.register_buffer("regression", torch.zeros(len(leads), min(leading, modes), modes))

    def set_patterns(self, patterns: Tensor) -> None:
        """Set the patterns (mode, variable, row, column), each rounded to 1/127 of its largest value."""
        self.size.copy_(patterns.abs().amax(dim=(1, 2, 3)) / _LEVELS)
        whole = torch.where(self.size > 0, patterns.movedim(0, -1) / self.size, 0.0).movedim(-1, 0)
        self.patterns.copy_(whole.round())

    def scaled_patterns(self) -> Tensor:
        """Give the patterns of unit variance (mode, variable * row * column), float64."""
        return (self.patterns.double() * self.size.double()[:, None, None, None]).flatten(1)

    def fill(self, fields: Tensor, visible: Tensor, geometry: Geometry) -> Tensor:
        """Put the estimate where a value is missing.

        Parameters
        ----------
        fields : Tensor (batch, time, variable, lat, lon)
            Standardised anomalies, finite everywhere.
        visible : Tensor (batch, time, variable, lat, lon), bool
            Where they are values.
        geometry : Geometry
            The grid.

        Returns
        -------
        Tensor (batch, time, variable, lat, lon)
        """
        scores = self.scores(*self.coarse(fields, visible, geometry))
        return torch.where(visible, fields, self.fine(scores, geometry).to(fields))

    def ahead(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Say what is added to damped persistence at each lead; nothing at lead 0.

        Parameters
        ----------
        fields : Tensor (batch, time, variable, lat, lon)
            Standardised anomalies, filled.
        geometry : Geometry
            The grid.

        Returns
        -------
        Tensor (batch, time, lead, variable, lat, lon)
        """
        everywhere = torch.ones((1, 1, *fields.shape[2:]), dtype=torch.bool, device=fields.device)
        means, weights = self.coarse(fields, everywhere, geometry)
        leading = self.scores(means, weights)[..., : self.regression.shape[1]]
        scores = torch.einsum("btm,lmk->btlk", leading, self.regression.double())
        return self.fine(scores, geometry).to(fields)

    def coarse(self, fields: Tensor, visible: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """Sum visible values, and their areas, by the cells of the patterns.

        Parameters
        ----------
        fields, visible, geometry : object
            As for `fill`.

        Returns
        -------
        sums, weights : Tensor (batch, time, variable * row * column), float64
            Areas are shares of that of the grid.
        """
        rows, columns = (values.to(fields) for values in _hats(geometry, self.periodic))
        area = visible * geometry.normalised_area.to(fields)
        sums, weights = (
            torch.einsum("ri,...ij,cj->...rc", rows, values, columns).flatten(-3).double()
            for values in (area * fields, area)
        )
        return sums, weights

    def scores(self, sums: Tensor, weights: Tensor) -> Tensor:
        """Estimate the scores of the EOFs (batch, time, mode), float64.

        Parameters
        ----------
        sums, weights : Tensor (batch, time, variable * row * column)
            From `coarse`; the weights broadcast.
        """
        patterns = self.scaled_patterns()
        error = self.error.double()
        heard = (sums / error) @ patterns.T
        # What is missing is mostly the same at all steps: one system of equations for each set of missing values.
        masks, which = torch.unique(weights.flatten(0, 1), dim=0, return_inverse=True)
        systems = torch.stack([(patterns * (mask / error)) @ patterns.T for mask in masks])
        systems.diagonal(dim1=-2, dim2=-1).add_(1.0)
        factors = torch.linalg.cholesky(systems)
        if len(masks) == 1:
            return torch.cholesky_solve(heard.flatten(0, 1).T, factors[0]).T.unflatten(0, heard.shape[:2])
        solved = torch.cholesky_solve(heard.flatten(0, 1)[..., None], factors[which])
        return solved[..., 0].unflatten(0, heard.shape[:2])

    def fine(self, scores: Tensor, geometry: Geometry) -> Tensor:
        """Rebuild fields (..., variable, lat, lon), float64, from scores (..., mode)."""
        rows, columns = _hats(geometry, self.periodic)
        coarse = (scores @ self.scaled_patterns()).unflatten(-1, self.patterns.shape[1:])
        return torch.einsum("ri,...rc,cj->...ij", rows, coarse, columns)


@lru_cache(maxsize=16)
def _hats(geometry: Geometry, periodic: bool) -> tuple[Tensor, Tensor]:
    """Weights of linear interpolation from the rows and columns of the patterns (row, lat) and (column, lon), float64.

    The grid of the patterns covers the domain of the geometry; beyond its outermost rows it is constant.
    """
    # The first harmonics of position are cosine and sine of the angles: half a circle over the domain, or the globe.
    # Cached tensors are used in training later: they must not be made in inference mode.
    with torch.inference_mode(False), torch.no_grad():
        zonal, meridional = geometry.positions.double().chunk(2, dim=-1)
        along_column = torch.atan2(meridional[:, 0, 1], meridional[:, 0, 0]) / math.pi + 0.5
        along_row = torch.atan2(zonal[0, :, 1], zonal[0, :, 0]) / math.pi
        along_row = along_row / 2 if periodic else along_row + 0.5
        return (
            _hat(along_column, PATTERN_ROWS, periodic=False),
            _hat(along_row, PATTERN_COLUMNS, periodic=periodic),
        )


def _hat(place: Tensor, count: int, *, periodic: bool) -> Tensor:
    """Weights (count, place) of the two nearest of `count` equal cells of the interval from 0 to 1."""
    position = place * count - 0.5
    if not periodic:
        position = position.clamp(0, count - 1)
    below = position.floor()
    share = position - below
    cells = torch.arange(count, device=place.device)[:, None]
    return torch.where(cells == below.long() % count, 1 - share, 0.0) + torch.where(
        cells == (below.long() + 1) % count, share, 0.0
    )
