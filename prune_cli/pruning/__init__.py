"""The engine: which weights, how important, how many, when. It knows torch alone."""
