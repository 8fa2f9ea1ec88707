"""Content keys, the key store, and segment encryption. The only package that uses cryptography; import its modules directly."""
