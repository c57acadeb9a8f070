"""Engines for two-layer networks of a width in the hundreds, trained by minibatches."""
