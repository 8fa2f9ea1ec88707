"""Tables and summaries for people. Every text that comes from a file passes ``escaped`` on its way to the terminal.

In:   a console and what the library returned.  Out: text on the console, as wide as it allows; nothing is cut when piped.
"""
