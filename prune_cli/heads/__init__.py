"""What a model puts out, and what is decided there: batches, decisions, predictions. One file a kind of head."""

IGNORED = -100
"""Label of what is not learned, and padding of predictions."""
