"""The quality report: what a promotion checked, what failed and why it matters, and what a steward can do.

It only reads what promotions left on record; nothing is judged again.
"""
