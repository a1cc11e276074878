"""The live model, and those kept beside it, judged by the rows that have come since they learned."""
