"""The headers that prove where a webhook comes from. Source: Standard Webhooks 1.0, "Signature scheme"."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from agentrt.config.webhook_secret import signing_key
from agentrt.secret import Secret


def signed_headers(secrets: Sequence[Secret], *, event_id: str, at: float, body: bytes) -> dict[str, str]:
    """One signature for each secret, so that a receiver may have either of two while they are changed.

    at: Unix seconds of this attempt; receivers refuse what is minutes away from their own clock.
    """
    timestamp = str(int(at))
    content = b".".join((event_id.encode(), timestamp.encode(), body))
    signatures = (hmac.digest(signing_key(secret.reveal()), content, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(signature).decode()}" for signature in signatures),
    }
