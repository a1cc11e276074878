"""Performance without labels: what it probably is, how far that can be trusted, and when to say nothing."""
