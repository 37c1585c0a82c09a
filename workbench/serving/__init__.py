"""The notebook server: who may come in, which notebook session belongs to whom, and the pages around the notebooks.

It reads no tenant's data; notebooks do, through `workbench.session`.
"""
