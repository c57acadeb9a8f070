"""What is trained: parameters and problems, in one dimension and in R^d."""
