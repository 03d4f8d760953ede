"""Where a bench runs, one file each."""
