"""How good predictions are, and how sure we are of that."""
