"""Servers of others, as their contracts say that they behave."""
