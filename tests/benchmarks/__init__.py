"""Measurements run by hand (see docs/performance.md); nothing here is collected by pytest."""
