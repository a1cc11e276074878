"""The loop over a past that is known: what each policy would have done, and what it would have cost."""
