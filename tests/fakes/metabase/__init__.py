"""A Metabase for tests: its documented contract on a real socket, traps included.

It strips what it does not declare and says nothing, replaces all cards of a dashboard by those that it is sent,
answers queries in another shape than it was given, and refuses in Metabase's own words. `running.py` starts it,
`store.py` is what it keeps, `embedding.py` serves embedded dashboards as their viewers get them.
"""

from tests.fakes.metabase.running import FakeMetabase, running_metabase

__all__ = ["FakeMetabase", "running_metabase"]
