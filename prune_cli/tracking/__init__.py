"""Following a run: the local history, and Weights & Biases beside it."""
