"""What a CDN in front of the target needs: which objects there are, which to fetch first, and which to forget when a title changes."""
