"""The paper in torch: the FAConvLSTM layer, axial attention on the sphere, the embedding head, losses and baselines."""

from xfaconv.nn.geometry import Geometry
from xfaconv.nn.layer import FAConvLSTM
from xfaconv.nn.losses import area_weighted_error, laplacian_smoothness, temporal_smoothness
from xfaconv.nn.network import Encoded, Network, build_network

__all__ = [
    "Encoded",
    "FAConvLSTM",
    "Geometry",
    "Network",
    "area_weighted_error",
    "build_network",
    "laplacian_smoothness",
    "temporal_smoothness",
]
