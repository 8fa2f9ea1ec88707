"""Content keys, the key store, and segment encryption. The only room that uses cryptography; import its modules directly."""
