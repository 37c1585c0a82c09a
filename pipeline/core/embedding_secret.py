"""The secret that Metabase verifies embed tokens with: derived, so that there is none to keep or to hand around.

It proves to Metabase that a token is ours. It opens no tenant's data by itself: that takes a tenant token as well,
which is signed by a key that the database alone has.
"""

from __future__ import annotations

import hashlib
import hmac

PURPOSE = "metabase embedding "


def embedding_secret(secret: str, generation: int) -> str:
    """The secret of a generation: 64 hexadecimal digits, which are the key as text, not the bytes that they spell.

    `secret` is WORKBENCH_SECRET; `generation` counts rotations, from 1, and is in `control.metabase_state`.
    """
    return hmac.new(secret.encode(), f"{PURPOSE}{generation}".encode(), hashlib.sha256).hexdigest()
