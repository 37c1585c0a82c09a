"""Leaves with 0 where each of the addresses answers with success: the image has no curl. Standard library only."""

from __future__ import annotations

import sys
import urllib.request

SECONDS = 8

if __name__ == "__main__":
    for url in sys.argv[1:]:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=SECONDS).close()
