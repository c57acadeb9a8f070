"""Pictures and films of the training of one network with one input (docs/method.md 7)."""
