"""The account of every event: what was accepted, what became of it, and what is still on its way."""
