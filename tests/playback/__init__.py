"""Proof that players play what vidpipe publishes: a matrix of titles and players, its outcomes, and the page that shows them.

``cells.py`` is the matrix as data, ``titles.py`` publishes what is played, ``players.py`` names who plays it, and ``outcome.py`` is what
came of it. ``python -m tests.playback`` plays it and writes docs/players.json, docs/players.md (``page.py``) and the picture
(``picture.py``). ``barcodes.py`` reads what was decoded without any player.
"""
