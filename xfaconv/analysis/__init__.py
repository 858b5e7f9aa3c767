"""Regimes, teleconnection maps, indices, significance, and the checks that let a reviewer trust them."""
