"""What a task is: its records, its head, its metrics."""
