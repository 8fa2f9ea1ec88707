"""Many titles in one process: read which, make them side by side, report how each ended."""
