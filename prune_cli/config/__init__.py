"""The typed configuration: its schema, its composition by Hydra, its validation before any work."""
