"""Engines for networks with inputs in R^d."""
