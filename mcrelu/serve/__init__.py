"""A live, read-only page over outputs: served on this machine alone, from what outputs say."""
