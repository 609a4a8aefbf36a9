"""Pruned models in a small file: positions and values of the weights that are left. The format: docs/sparse_format.md."""
