"""Does training leave the affine regime? Networks in R^d."""
