"""Doing the blocks of a sweep; only this package imports ray."""
