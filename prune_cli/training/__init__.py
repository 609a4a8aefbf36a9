"""The loop, and what surrounds it: batches, optimizer, evaluations, checkpoints, endings."""
