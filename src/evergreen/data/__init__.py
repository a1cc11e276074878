"""Where rows come from, what they must look like, and which of them are used for what."""
