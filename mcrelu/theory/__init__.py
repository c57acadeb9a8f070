"""What the paper proves, as functions of batches of networks."""
