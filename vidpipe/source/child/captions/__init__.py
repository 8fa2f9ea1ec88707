"""Closed captions, as they are carried in packets and as they are shown."""
