"""Measurements: each compares us with a limit or with the plain way, interleaved in one run."""
