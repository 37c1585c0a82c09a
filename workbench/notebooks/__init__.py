"""The notebooks, each a marimo app that answers one question of an analyst or a steward.

They hold cells for the page only: figures come from `workbench.analysis`, pictures from `workbench.charts`, and
what all of them open with from `workbench.notebooks.frame`.
"""
