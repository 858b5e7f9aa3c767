"""Read-outs that know the place: what is read is weighted by smooth patterns of position, of either sign."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xfaconv.nn.geometry import POSITION_PRODUCTS, Geometry


class LocatedReadOut(nn.Module):
    """Linear read-out whose weights change smoothly, sign included, from place to place.

    A weighted mean, which is all that attention gives, cannot say that the same event is warm in one place and cold in
    another; here each of some linear features of the hidden state is multiplied by a pattern of position before it is
    read. It starts at zero.

    Parameters
    ----------
    channels : int
        Hidden channels F.
    features : int
        Number of features and patterns.
    outputs : int
        Numbers read out of each cell.
    """

    def __init__(self, channels: int, features: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Linear(channels, features)
        self.patterns = nn.Linear(POSITION_PRODUCTS, features, bias=False)
        self.out = nn.Linear(features, outputs, bias=False)
        nn.init.normal_(self.patterns.weight, std=POSITION_PRODUCTS**-0.5)
        nn.init.zeros_(self.out.weight)

    def forward(self, hidden: Tensor, geometry: Geometry) -> Tensor:
        """Read some hidden states.

        Parameters
        ----------
        hidden : Tensor (..., lat, lon, F)
            Hidden states.
        geometry : Geometry
            Position features.

        Returns
        -------
        Tensor (..., lat, lon, outputs)
        """
        patterns = geometry.weigh_products(self.patterns.weight)
        read: Tensor = self.out(patterns * self.features(hidden))
        return read


class LocatedPatterns(nn.Module):
    """Patterns of position that are linear in the products of harmonics.

    Parameters
    ----------
    outputs : int
        Number of patterns.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, POSITION_PRODUCTS))
        nn.init.normal_(self.weight, std=0.5 * POSITION_PRODUCTS**-0.5)

    def forward(self, geometry: Geometry) -> Tensor:
        """Evaluate them on a grid.

        Parameters
        ----------
        geometry : Geometry
            Position features.

        Returns
        -------
        Tensor (lat, lon, outputs)
        """
        return geometry.weigh_products(self.weight)

    def project(self, fields: Tensor, geometry: Geometry) -> Tensor:
        """Area-weighted means of some fields times their patterns, summed over the fields.

        The patterns are sums of products of harmonics, so the fields are taken apart into harmonics, row by row and
        then along the meridian, and the patterns themselves, which would be large on a fine grid, are never made.

        Parameters
        ----------
        fields : Tensor (batch, lat, lon, field)
            As many fields as the patterns are of; the patterns are ordered by field.
        geometry : Geometry
            Areas and position features.

        Returns
        -------
        Tensor (batch, outputs / fields)
        """
        along_row, along_column = (waves.to(fields.dtype) for waves in geometry.waves)
        weighted = fields * geometry.normalised_area.to(fields.dtype)[..., None]
        by_row = torch.einsum("bijv,jz->bivz", weighted, along_row)
        harmonics = torch.einsum("bivz,im->bvzm", by_row, along_column).flatten(2)
        return torch.einsum("bvk,vdk->bd", harmonics, self.weight.unflatten(0, (fields.shape[-1], -1)))
