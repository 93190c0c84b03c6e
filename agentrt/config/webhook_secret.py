"""What signs webhooks: from the text of a secret to the bytes of a key. Source: Standard Webhooks, signature scheme."""

from __future__ import annotations

import base64
import binascii
from typing import Final

PREFIX: Final = "whsec_"
SHORTEST_KEY: Final = 24
LONGEST_KEY: Final = 64


def signing_key(secret: str) -> bytes:
    """`whsec_` stands before base64; every other text is the key itself, as the official SDKs read it.

    Raises ValueError when what follows the prefix is not base64 as they decode it: with its padding, without spaces.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
