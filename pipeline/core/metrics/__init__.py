"""Metrics: what a tenant may ask by name, as functions of the database that take a signed tenant token.

`definitions/` has each metric's figures as a SELECT and its description beside it; `catalog` reads them, `functions`
makes functions of them, `deploy` puts those in place, `reading` asks them.
"""
