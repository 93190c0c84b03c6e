"""Lists over several pages: both orders, after and before, filters; many objects of the same second."""

from __future__ import annotations

import uuid

from openai import BadRequestError, NotFoundError, OpenAI

from tests.compat.sdk.scenario import actor, scenario, value_of


@scenario
def messages_are_paged_through_in_both_orders(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(23)])
    ascending = [value_of(m) for m in client.beta.threads.messages.list(thread.id, order="asc", limit=5)]
    assert ascending == [str(n) for n in range(23)]
    descending = [value_of(m) for m in client.beta.threads.messages.list(thread.id, limit=7)]
    assert descending == ascending[::-1]
    page = client.beta.threads.messages.list(thread.id)
    assert (len(page.data), page.has_next_page()) == (20, True)
    page = page.get_next_page()
    assert (len(page.data), page.has_next_page()) == (3, False)


@scenario
def a_page_begins_after_and_ends_before_an_item(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(10)])
    messages = client.beta.threads.messages
    ids = [message.id for message in messages.list(thread.id, order="asc", limit=100)]

    def numbers(**query: object) -> list[str]:
        return [value_of(m) for m in messages.list(thread.id, **query).data]  # type: ignore[arg-type]

    assert numbers(order="asc", limit=3, after=ids[4]) == ["5", "6", "7"]
    assert numbers(order="asc", limit=3, before=ids[4]) == ["1", "2", "3"], "the ones directly before it"
    assert numbers(order="desc", limit=3, after=ids[4]) == ["3", "2", "1"]
    assert numbers(order="desc", limit=3, before=ids[4]) == ["7", "6", "5"]
    assert numbers(order="asc", limit=100, after=ids[2], before=ids[6]) == ["3", "4", "5"]
    assert numbers(order="asc", after=ids[-1]) == []
    assert numbers(order="asc", before=ids[0]) == []


@scenario
def an_empty_list_has_no_cursors(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    page = client.beta.threads.messages.list(thread.id)
    assert page.data == []
    assert page.has_next_page() is False
    assert list(page) == []


@scenario
def assistants_are_paged_through(client: OpenAI) -> None:
    mark = uuid.uuid4().hex
    made = [client.beta.assistants.create(model="demo", name=f"{mark} {n}").id for n in range(7)]
    listed = [a.id for a in client.beta.assistants.list(limit=3) if (a.name or "").startswith(mark)]
    assert listed == made[::-1]
    listed = [a.id for a in client.beta.assistants.list(limit=3, order="asc") if (a.name or "").startswith(mark)]
    assert listed == made
    after = client.beta.assistants.list(order="asc", limit=2, after=made[2]).data
    assert [assistant.id for assistant in after] == made[3:5]


@scenario
def runs_and_steps_are_paged_through_and_messages_by_run(client: OpenAI) -> None:
    assistant = actor(client, "hello")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    runs = [
        client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id).id for _ in range(4)
    ]
    assert [run.id for run in client.beta.threads.runs.list(thread.id, limit=2)] == runs[::-1]
    assert [run.id for run in client.beta.threads.runs.list(thread.id, limit=2, order="asc")] == runs
    before = client.beta.threads.runs.list(thread.id, order="asc", limit=1, before=runs[3]).data
    assert [run.id for run in before] == [runs[2]]
    (said,) = client.beta.threads.messages.list(thread.id, run_id=runs[1])
    assert said.run_id == runs[1]
    (step,) = client.beta.threads.runs.steps.list(runs[1], thread_id=thread.id, limit=1)
    assert step.run_id == runs[1]
    included = client.beta.threads.runs.steps.list(
        runs[1], thread_id=thread.id, include=["step_details.tool_calls[*].file_search.results[*].content"]
    )
    assert included.data == [step]


@scenario
def wrong_queries_are_refused(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    for limit, code in ((0, "integer_below_min_value"), (101, "integer_above_max_value")):
        try:
            client.beta.threads.messages.list(thread.id, limit=limit)
        except BadRequestError as error:
            assert (error.code, error.param) == (code, "limit")
        else:
            raise AssertionError("a limit out of range is clamped")
    try:
        client.beta.threads.messages.list(thread.id, order="sideways")  # type: ignore[arg-type]
    except BadRequestError as error:
        assert (error.code, error.param) == ("invalid_value", "order")
    else:
        raise AssertionError("a wrong order is let pass")
    for cursor in ({"after": "msg_nosuchmessage"}, {"before": "msg_nosuchmessage"}):
        try:
            client.beta.threads.messages.list(thread.id, **cursor)  # type: ignore[arg-type]
        except (BadRequestError, NotFoundError) as error:
            assert "msg_nosuchmessage" in error.message
        else:
            raise AssertionError("an unknown cursor is let pass")
