"""Init sections and media segments, with the facts that were measured from their bytes."""
