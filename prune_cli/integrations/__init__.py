"""The engine in training loops that are not ours."""
