"""Other ways from a Kafka topic into a keyed table, each as its documentation recommends, in an environment of its own.

The scripts beside this file run in bench/peers/.venv, which `comparison.py` makes out of
requirements.lock. All of it is for measuring: nothing of the product imports any of it.
"""
