"""Engines for two-layer networks with one input."""
