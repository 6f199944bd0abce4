"""How often the intervals hold, on populations whose truth is known."""
