"""Landing: a batch of events becomes rows of `raw`, dead letters and counts, all in one transaction.

It does not decode events (`pipeline.core.events`), and does not know where they come from: the
embedded publisher and a stream's consumer hand it the same batches.
"""
