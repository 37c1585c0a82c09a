"""Tells a webhook of what has to be known: takes notifications from the outbox and delivers them, signed.

Writing them is not its part: they are written by whoever causes them, in the same transaction.
"""
