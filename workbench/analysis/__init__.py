"""What the notebooks count: pure functions from Polars LazyFrames of the marts to small DataFrames.

Days, weeks (ISO, from Monday) and months are those of UTC. No function reads a clock: "today" is the day up to
which the tenant's data is published, so that the same promotion always gives the same figures.
"""
