"""Many runs: jobs, grids, searches, frontiers, studies, and how far they are."""
