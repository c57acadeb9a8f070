"""Figures for papers; they read tables only."""
