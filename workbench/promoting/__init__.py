"""Watching promotions: where they stand, for Prometheus."""
