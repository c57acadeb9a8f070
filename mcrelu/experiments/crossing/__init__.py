"""Does training ever move a kink across a data point? Two-layer networks in one dimension."""
