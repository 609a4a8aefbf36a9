"""One run: its story, its parts, its end, and what is done with its saved model."""
