"""What runs in the child process that opens a source: the only users of PyAV."""
