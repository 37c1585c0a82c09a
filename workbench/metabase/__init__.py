"""Metabase as code: dashboards described in files, and a Metabase that is brought to be as they say.

`spec` and `lint` read and judge the files, `desired` says what Metabase must hold, `reading` what it holds,
`differences` what lies between, and `applying` writes it. None of them knows the others' effects: only `client`
speaks with Metabase, and only `allow_list` with the database.
"""
