"""The same result in words, in a page, and as an alert."""
