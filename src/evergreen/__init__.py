"""The parts of Evergreen, lowest floor first: see the README for the map."""
