"""`lyra-sim serve`: generate scenes for a second machine or a team, over HTTP.

Importing this package loads no web framework; the extra `serve` brings it.
"""
