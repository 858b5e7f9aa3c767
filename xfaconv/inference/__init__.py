"""What can be known of a hidden or a future part of the Earth: inference, forecasts, the linear answer, attribution."""

from xfaconv.inference.checks import check_attribution
from xfaconv.inference.contributions import attribution
from xfaconv.inference.prediction import forecast, infer
from xfaconv.inference.regions import sum_by_region
from xfaconv.inference.scores import skill
from xfaconv.inference.sectors import teleconnectivity
from xfaconv.inference.summary import teleconnection

__all__ = [
    "attribution",
    "check_attribution",
    "forecast",
    "infer",
    "skill",
    "sum_by_region",
    "teleconnection",
    "teleconnectivity",
]
