"""The grid as the network sees it: cell areas, position features, and what lies beyond each edge."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xfaconv.grid import Grid

# Four harmonics resolve a quarter of a circle, and the products of them are 9 x 9 functions of place on any grid.
_HARMONICS = 4
POSITION_FEATURES = 4 * _HARMONICS
POSITION_PRODUCTS = (1 + 2 * _HARMONICS) ** 2
SPHERE_FEATURES = 3

Domain = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Geometry:
    """Tensors and flags that the layers need to know about the grid.

    Parameters
    ----------
    area : Tensor (lat, lon)
        Cell areas with mean 1.
    log_row_area : Tensor (lat,)
        Logarithm of the area of a cell in each row, the bias of column attention.
    log_column_width : Tensor (lon,)
        Logarithm of the width of each column, the bias of row attention.
    positions : Tensor (lat, lon, POSITION_FEATURES)
        Sines and cosines of harmonics of longitude and latitude over the model's domain.
    sphere : Tensor (lat, lon, 3)
        The unit vector of each cell (of the stretched domain when it is regional).
    periodic : bool
        Whether the columns close around the globe.
    south_pole, north_pole : bool
        Whether the grid can be continued across that pole (it reaches it and is periodic).
    south_pole_point, north_pole_point : bool
        Whether the outermost row sits on that pole.
    """

    area: Tensor
    log_row_area: Tensor
    log_column_width: Tensor
    positions: Tensor
    sphere: Tensor
    periodic: bool = False
    south_pole: bool = False
    north_pole: bool = False
    south_pole_point: bool = False
    north_pole_point: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Number of latitudes and longitudes."""
        return self.area.shape[0], self.area.shape[1]

    @property
    def normalised_area(self) -> Tensor:
        """Cell areas that sum to 1, shape (lat, lon)."""
        return self.area / self.area.sum()

    @property
    def waves(self) -> tuple[Tensor, Tensor]:
        """Harmonics of longitude, shape (lon, 9), and of latitude, shape (lat, 9), each with the constant first."""
        zonal, meridional = self.positions.chunk(2, dim=-1)
        return _with_constant(zonal[0]), _with_constant(meridional[:, 0])

    def weigh_products(self, weight: Tensor) -> Tensor:
        """Sum products of harmonics without making the products themselves, which are large on a fine grid.

        Parameters
        ----------
        weight : Tensor (sum, 81)
            Weight of each product in each sum, those of the constant in longitude first, in the order of `waves`.

        Returns
        -------
        Tensor (lat, lon, sum)
        """
        along_row, along_column = (waves.to(weight) for waves in self.waves)
        by_row = torch.einsum("im,kzm->ikz", along_column, weight.unflatten(-1, (len(along_row[0]), -1)))
        return torch.einsum("ikz,jz->ijk", by_row, along_row)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Geometry:
        """Copy to a device or a floating type; the same object where it is there already.

        Parameters
        ----------
        device : torch.device or str, optional
            Where the tensors should be.
        dtype : torch.dtype, optional
            Floating type of the tensors.

        Returns
        -------
        Geometry
        """
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        with torch.inference_mode(False):
            moved: dict[str, Any] = {name: value.to(device=device, dtype=dtype) for name, value in tensors.items()}
        same = all(moved[name] is value for name, value in tensors.items())
        return self if same else replace(self, **moved)

    @staticmethod
    @lru_cache(maxsize=32)
    def from_grid(grid: Grid, domain: Domain = (-90.0, 90.0, 0.0, 360.0), domain_periodic: bool = True) -> Geometry:
        """Describe a grid to the network.

        Parameters
        ----------
        grid : Grid
            Cell centres, south to north and eastward.
        domain : tuple of float
            South, north, west, east [degrees] that the position features are relative to.
        domain_periodic : bool
            Whether that domain closes around the globe.

        Returns
        -------
        Geometry
            float32 tensors on the CPU; cached, so treat them as read-only.

        Examples
        --------
        >>> Geometry.from_grid(Grid.regular(30.0)).shape
        (6, 12)
        """
        south, north, west, east = domain
        row_angle = math.pi * ((np.asarray(grid.latitude) - south) / (north - south) - 0.5)
        if domain_periodic:
            column_angle = np.deg2rad(np.asarray(grid.longitude))
        else:
            # Seen from the middle, so that a domain wider than half the globe has no jump inside.
            offset = (np.asarray(grid.longitude) - (west + east) / 2 + 180.0) % 360.0 - 180.0
            column_angle = math.pi * offset / (east - west)
        width = np.diff(grid.longitude_edges)
        row_area = grid.row_area / grid.row_area.mean()
        # Cached tensors are used in training later: they must not be made in inference mode.
        with torch.inference_mode(False):
            return Geometry(
                area=_tensor(grid.area),
                log_row_area=_tensor(np.log(row_area)),
                log_column_width=_tensor(np.log(width / width.mean())),
                **_features(row_angle, column_angle),
                periodic=grid.periodic,
                # Beyond a pole lies the opposite meridian: with an odd number of columns no column is there.
                south_pole=grid.periodic and grid.reaches_south_pole and grid.shape[1] % 2 == 0,
                north_pole=grid.periodic and grid.reaches_north_pole and grid.shape[1] % 2 == 0,
                south_pole_point=abs(grid.latitude[0] + 90) < 1e-3,
                north_pole_point=abs(grid.latitude[-1] - 90) < 1e-3,
            )

    @staticmethod
    @lru_cache(maxsize=32)
    def plane(rows: int, columns: int) -> Geometry:
        """Describe a plane of equal cells with edges on all sides.

        Parameters
        ----------
        rows, columns : int
            Size of the plane.

        Returns
        -------
        Geometry
            Used when a layer is given no grid, as in Keras.
        """
        row_angle = math.pi * ((np.arange(rows) + 0.5) / rows - 0.5)
        column_angle = math.pi * ((np.arange(columns) + 0.5) / columns - 0.5)
        with torch.inference_mode(False):
            return Geometry(
                area=torch.ones(rows, columns),
                log_row_area=torch.zeros(rows),
                log_column_width=torch.zeros(columns),
                **_features(row_angle, column_angle),
            )


def smoothness_of_products() -> Tensor:
    """Amplitude of each product of harmonics in a smooth function of place, 1 / (1 + m^2 + n^2), shape (81,).

    Scaled to a mean square of 1. Wavenumbers m of longitude and n of latitude.
    """
    # 0, 1, 1, 2, 2, ...: the constant, then cosine and sine of each harmonic, as `Geometry.waves` has them.
    squares = torch.tensor([(k + 1) // 2 for k in range(1 + 2 * _HARMONICS)], dtype=torch.float64).square()
    amplitude = (1 + squares[:, None] + squares).reciprocal().flatten()
    return amplitude / amplitude.square().mean().sqrt()


def _with_constant(waves: Tensor) -> Tensor:
    """Put a 1 before harmonics, which are scaled to the same mean square."""
    return F.pad(math.sqrt(2) * waves, (1, 0), value=1.0)


def _harmonics(angle: np.ndarray) -> np.ndarray:
    parts = [function(k * angle) for k in range(1, _HARMONICS + 1) for function in (np.cos, np.sin)]
    return np.stack(parts, axis=-1)


def _features(row_angle: np.ndarray, column_angle: np.ndarray) -> dict[str, Any]:
    by_row, by_column = _harmonics(row_angle)[:, None], _harmonics(column_angle)[None]
    positions = np.concatenate(np.broadcast_arrays(by_column, by_row), axis=-1)
    latitude, longitude = np.meshgrid(row_angle, column_angle, indexing="ij")
    # Unlike latitude and longitude, unit vectors have no jump at the date line and no meridians that meet at a pole.
    sphere = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )
    return {"positions": _tensor(positions), "sphere": _tensor(sphere)}


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))
