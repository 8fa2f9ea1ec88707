"""Versions at a target: where they go, how objects are sent."""
