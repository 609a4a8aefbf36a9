"""Comparing runs: finding them, querying them, telling differences from noise, and putting all of it into tables."""
