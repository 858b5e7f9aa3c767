"""Small grids of every kind, and networks whose parameters are all far from zero."""

from __future__ import annotations

import torch

from tests.nn.oracle import World
from xfaconv.grid import Grid
from xfaconv.nn import Geometry

GRIDS = {
    "cell-centred": Grid((-75.0, -45.0, -15.0, 15.0, 45.0, 75.0), tuple(45.0 * k for k in range(8))),
    "pole-points": Grid((-90.0, -54.0, -18.0, 18.0, 54.0, 90.0), tuple(-180 + 45.0 * k for k in range(8))),
    "one-pole": Grid((10.0, 30.0, 50.0, 70.0, 85.0), tuple(60.0 * k for k in range(6))),
    "regional": Grid((20.0, 24.0, 29.0, 35.0, 42.0), (-10.0, -7.0, -3.0, 2.0, 8.0, 15.0)),
}


def world_of(grid):
    return World(grid.latitude, grid.longitude)


def geometry_of(grid):
    return Geometry.from_grid(grid).to(dtype=torch.float64)


def disturbed(module, seed=0, size=0.4):
    """Give every parameter of a module a value of its own, in float64, and switch it to evaluation."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        for name, statistic in module.named_buffers():
            if name.endswith(("squeeze_excitation.mean", "squeeze_excitation.variance")):
                statistic += 0.5 * torch.rand(statistic.shape, generator=generator, dtype=torch.float64)
    return module


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
