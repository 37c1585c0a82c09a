"""The gate: Great Expectations suites over the candidate, one file per boundary, and a verdict per tenant.

It reads the candidate, what was landed and what is published; it writes nothing and publishes nothing.
"""
