"""kill -9 while a webhook is on its way: the next process sends it, signed with the secret of the environment."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.cli.projects import Service, serving, write_project
from tests.runtime.webhooks.receiver import SECRET, Reply, receiving, wait_for

LAST = "whsec_bGFzdCB5ZWFyJ3Mgc2VjcmV0LCBzdGlsbCB1c2Vk"


def completed(service: Service) -> None:
    body = {"assistant_id": "asst_helper", "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    run = service.call("POST", "/threads/runs", body)
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    wait_for(lambda: service.call("GET", path)["status"] == "completed")


def test_a_webhook_that_was_on_its_way_is_sent_by_the_next_process(tmp_path: Path) -> None:
    with receiving(Reply(before=asyncio.Event())) as receiver:
        toml = receiver.toml().replace(SECRET, "${HOOK_SECRET}") + 'previous_secret = "${LAST_SECRET}"\n'
        write_project(tmp_path, f"\n{toml}")
        secrets = {"HOOK_SECRET": SECRET, "LAST_SECRET": LAST}
        with serving(tmp_path, **secrets) as service:
            completed(service)
            wait_for(lambda: len(receiver.received) == 1)
            [pending] = service.call("GET", "/webhooks/deliveries")["data"]
            assert (pending["status"], pending["last_attempt"]) == ("pending", None)
            service.stop(signal.SIGKILL)
        with serving(tmp_path, **secrets) as service:
            wait_for(lambda: len(receiver.received) == 2)
            path = f"/webhooks/deliveries/{pending['id']}"
            wait_for(lambda: service.call("GET", path)["status"] == "delivered")
            assert [attempt["status_code"] for attempt in service.call("GET", path)["attempts"]] == [200]
            shown = "\n".join(service.lines) + str(service.call("GET", "/webhooks"))
        first, second = receiver.received
        assert first.event == second.event
        assert first.headers["webhook-signature"] != "" != second.headers["webhook-signature"]
        assert len(second.headers["webhook-signature"].split(" ")) == 2
        shown += (tmp_path / "serve.log").read_text()
        assert not [secret for secret in (SECRET, LAST) if secret in shown or secret[6:] in shown]
