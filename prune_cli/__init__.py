"""Prune pre-trained language models while fine-tuning them on a task."""

__version__ = "0.1.0"
