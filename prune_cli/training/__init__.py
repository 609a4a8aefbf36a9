"""The Hugging Face Trainer, taught to prune: losses, callbacks, checkpoints."""
