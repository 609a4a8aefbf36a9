"""`prune bench`: how fast models are, in which runtime, and at what cost in quality."""
