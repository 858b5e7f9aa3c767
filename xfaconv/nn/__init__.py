"""The paper in torch: the FAConvLSTM layer, axial attention on the sphere, the embedding head, losses and baselines."""

from xfaconv.errors import require_torch

require_torch()

# Cores register themselves when they are imported: a new core needs its file, and its name here.
from xfaconv.nn import baselines as baselines
from xfaconv.nn.cores import Core, register_core
from xfaconv.nn.geometry import Geometry
from xfaconv.nn.layer import FAConvLSTM
from xfaconv.nn.losses import area_weighted_error, laplacian_smoothness, temporal_smoothness
from xfaconv.nn.network import Encoded, Network, build_network

__all__ = [
    "Core",
    "Encoded",
    "FAConvLSTM",
    "Geometry",
    "Network",
    "area_weighted_error",
    "build_network",
    "laplacian_smoothness",
    "register_core",
    "temporal_smoothness",
]
