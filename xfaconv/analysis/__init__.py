"""Regimes, teleconnection maps, indices, significance, and the checks that let a reviewer trust them."""

from __future__ import annotations

from xfaconv.analysis.anomalies import anomalies, standardised
from xfaconv.analysis.attended import teleconnection
from xfaconv.analysis.checks import (
    check_attention,
    check_faithfulness,
    check_gradients,
    check_skill,
)
from xfaconv.analysis.composites import composite, membership_test, regime_composites
from xfaconv.analysis.discovery import false_discovery
from xfaconv.analysis.eofs import leading_eofs
from xfaconv.analysis.events import effective_sample_of_events
from xfaconv.analysis.importances import importance, importance_agreement, importance_for_card
from xfaconv.analysis.indices import ao, nao, nino3, nino4, nino12, nino34, pna, sam, soi
from xfaconv.analysis.influence import influence
from xfaconv.analysis.patterns import pattern_correlation
from xfaconv.analysis.randomisation import check_data, check_parameters
from xfaconv.analysis.regimes import choose_count, regimes
from xfaconv.analysis.significance import (
    correlate,
    correlation_p_value,
    effective_sample_size,
    lag_one_autocorrelation,
)
from xfaconv.analysis.surrogates import phase_randomised
from xfaconv.analysis.teleconnections import correlation_map, teleconnectivity
from xfaconv.analysis.windows import cut_windows

__all__ = [
    "anomalies",
    "ao",
    "check_attention",
    "check_data",
    "check_faithfulness",
    "check_gradients",
    "check_parameters",
    "check_skill",
    "choose_count",
    "composite",
    "correlate",
    "correlation_map",
    "correlation_p_value",
    "cut_windows",
    "effective_sample_of_events",
    "effective_sample_size",
    "false_discovery",
    "importance",
    "importance_agreement",
    "importance_for_card",
    "influence",
    "lag_one_autocorrelation",
    "leading_eofs",
    "membership_test",
    "nao",
    "nino3",
    "nino4",
    "nino12",
    "nino34",
    "pattern_correlation",
    "phase_randomised",
    "pna",
    "regime_composites",
    "regimes",
    "sam",
    "soi",
    "standardised",
    "teleconnection",
    "teleconnectivity",
]
