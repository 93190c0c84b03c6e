from __future__ import annotations

from tests.compat.fixtures import api, deploy, servers, service, stage, told, url, witnessed

__all__ = ["api", "deploy", "servers", "service", "stage", "told", "url", "witnessed"]
