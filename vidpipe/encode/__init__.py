"""Plan -> encoded chunks: pure argv builder, chunk runner, content-addressed store, scheduler on an Executor."""
