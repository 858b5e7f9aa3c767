"""Regimes, teleconnection maps, indices, significance, and the checks that let a reviewer trust them."""

from __future__ import annotations

from xfaconv.analysis.clustering import choose_count, regimes
from xfaconv.analysis.explanation.base_point_maps import compare_attention
from xfaconv.analysis.explanation.checks import (
    check_attention,
    check_data,
    check_faithfulness,
    check_gradients,
    check_parameters,
    check_skill,
)
from xfaconv.analysis.explanation.network_probe import cut_windows
from xfaconv.analysis.explanation.variable_importance import (
    ImportanceRequest,
    importance,
    importance_agreement,
    importance_for_card,
    importance_methods,
    register_importance,
)
from xfaconv.analysis.indices import ao, nao, nino3, nino4, nino12, nino34, pna, sam, soi
from xfaconv.analysis.statistics.anomalies import anomalies, standardised
from xfaconv.analysis.statistics.composites import composite, membership_test, regime_composites
from xfaconv.analysis.statistics.correlation import correlate, correlation_map, pattern_correlation, teleconnectivity
from xfaconv.analysis.statistics.eofs import leading_eofs
from xfaconv.analysis.statistics.significance import (
    correlation_p_value,
    effective_sample_of_events,
    effective_sample_size,
    false_discovery,
    lag_one_autocorrelation,
)
from xfaconv.analysis.statistics.surrogates import phase_randomised

__all__ = [
    "ImportanceRequest",
    "anomalies",
    "ao",
    "check_attention",
    "check_data",
    "check_faithfulness",
    "check_gradients",
    "check_parameters",
    "check_skill",
    "choose_count",
    "compare_attention",
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
    "importance_methods",
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
    "register_importance",
    "sam",
    "soi",
    "standardised",
    "teleconnectivity",
]
