"""Handing events over for landing: the port, and its adapters."""
