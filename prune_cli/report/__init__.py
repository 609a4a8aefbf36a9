"""Presenting runs: figures, tables on the screen, model cards."""
