"""From a pruned model to the files that other programs run."""
