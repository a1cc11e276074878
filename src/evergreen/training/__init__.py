"""A challenger: fitted in a child process, gated, compared."""
