"""What is live, what was live, and everything known about each model."""
