"""What can be known of a hidden or a future part of the Earth: inference, forecasts, the linear answer, attribution."""

from xfaconv.inference.prediction import forecast, infer
from xfaconv.inference.scores import skill
from xfaconv.inference.sectors import teleconnectivity

__all__ = ["forecast", "infer", "skill", "teleconnectivity"]
