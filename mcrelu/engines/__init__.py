"""Numerics: engines know nothing of specs, files or Ray."""
