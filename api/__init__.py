"""The HTTP front door: events in."""
