"""A small invented world, drawn with a seed, and ways to tell of it: tasks make their synthetic records from it."""
