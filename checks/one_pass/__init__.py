"""Suites compiled to SQL, so that all rules about the rows of a table are judged in one pass over it.

Great Expectations remains what rules are written in, and judges by itself whatever is not translated.
"""
