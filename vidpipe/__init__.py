"""vidpipe: turn a source video into a published, encrypted, proven HLS title."""

__version__ = "0.1.0"
