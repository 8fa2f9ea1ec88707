"""Verification: a version is read back from the target and proven before anybody sees it."""
