"""`python -m prune_cli` is `prune`."""

from prune_cli.cli import main

if __name__ == "__main__":
    main()
