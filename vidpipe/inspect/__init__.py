"""Look into packages: what the playlists say, and what the segments weigh."""
