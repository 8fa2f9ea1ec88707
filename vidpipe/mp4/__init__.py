"""ISO base media files: read and written, and what codecs say of themselves in them. Knows nothing of ladders or titles."""
