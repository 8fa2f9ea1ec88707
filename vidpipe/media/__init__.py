"""ffmpeg: find it, run it, read what it wrote."""
