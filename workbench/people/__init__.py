"""People who sign in: users, their passwords and identities, and their sign-in sessions.

It knows no HTTP: the notebook server asks it who somebody is, the command line keeps its register.
"""
