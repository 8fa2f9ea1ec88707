"""The groups of small commands, one module a group."""
