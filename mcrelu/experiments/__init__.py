"""One room per experiment: everything about it, behind one protocol."""
