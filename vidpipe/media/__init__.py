"""The door to ffmpeg: find it, run it, read what it wrote."""
