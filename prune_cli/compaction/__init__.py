"""Cutting out of a pruned model what is empty, without changing what it computes. The proofs: docs/compaction.md."""
