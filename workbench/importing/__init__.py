"""Sending an export through the HTTP API: every line of it is accounted for, and none is lost."""
