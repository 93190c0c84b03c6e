from __future__ import annotations

import pytest

from tests.server.api import WEATHER, Api

SCHEMA = {"name": "answer", "schema": {"type": "object"}, "strict": True}


async def test_an_assistant_needs_a_model_only(api: Api) -> None:
    made = await api.assistant()
    assert made["id"].startswith("asst_")
    assert made["name"] is made["description"] is made["instructions"] is None
    assert (made["tools"], made["metadata"], made["tool_resources"]) == ([], {}, {})
    assert (made["temperature"], made["top_p"], made["response_format"]) == (1.0, 1.0, "auto")
    assert "reasoning_effort" not in made


async def test_an_assistant_keeps_all_that_was_said(api: Api) -> None:
    said = {
        "name": "Helper",
        "description": "Helps",
        "instructions": "Be brief.",
        "tools": [
            WEATHER,
            {"type": "code_interpreter"},
            {"type": "file_search", "file_search": {"max_num_results": 3}},
        ],
        "metadata": {"team": "support"},
        "temperature": 0.2,
        "top_p": 0.9,
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
        "reasoning_effort": "low",
    }
    made = await api.assistant(**said)
    assert {key: made[key] for key in said} == said
    assert await api.call("GET", f"/assistants/{made['id']}") == made


async def test_an_update_changes_what_it_names_and_null_clears(api: Api) -> None:
    made = await api.assistant(name="A", instructions="B", metadata={"k": "v"}, temperature=0.5, tools=[WEATHER])
    path = f"/assistants/{made['id']}"
    changed = await api.call("POST", path, {"name": "C", "temperature": None, "metadata": None})
    assert changed == {**made, "name": "C", "temperature": 1.0, "metadata": {}}
    changed = await api.call(
        "POST", path, {"name": None, "instructions": None, "tools": [], "response_format": {"type": "text"}}
    )
    assert (changed["name"], changed["instructions"], changed["tools"]) == (None, None, [])
    assert changed["response_format"] == {"type": "text"}
    assert (await api.call("POST", path, {"response_format": None}))["response_format"] == "auto"
    assert await api.call("POST", path) == await api.call("GET", path)


async def test_null_clears_tool_resources(api: Api) -> None:
    file = await api.call("POST", "/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"})
    made = await api.assistant(tool_resources={"code_interpreter": {"file_ids": [file["id"]]}})
    changed = await api.call("POST", f"/assistants/{made['id']}", {"tool_resources": None})
    assert changed["tool_resources"]["code_interpreter"] == {"file_ids": []}


async def test_the_helper_makes_a_store_and_is_not_echoed(api: Api) -> None:
    file = await api.call("POST", "/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"})
    wish = {"file_search": {"vector_stores": [{"file_ids": [file["id"]], "metadata": {"a": "b"}}]}}
    made = await api.assistant(tool_resources=wish)
    (store_id,) = made["tool_resources"]["file_search"]["vector_store_ids"]
    assert store_id.startswith("vs_")
    assert made["tool_resources"] == {"file_search": {"vector_store_ids": [store_id]}}


async def test_a_deleted_assistant_is_gone(api: Api) -> None:
    assistant_id = (await api.assistant())["id"]
    path = f"/assistants/{assistant_id}"
    assert await api.call("DELETE", path) == {"id": assistant_id, "object": "assistant.deleted", "deleted": True}
    error = await api.refused("DELETE", path, status=404)
    assert error["message"] == f"No assistant found with id '{assistant_id}'."
    assert error["type"] == "invalid_request_error"
    await api.refused("GET", path, status=404)
    await api.refused("POST", path, {"name": "x"}, status=404)


async def test_a_model_that_nobody_answers_to_is_refused(api: Api) -> None:
    error = await api.refused("POST", "/assistants", {"model": "gpt-x"}, status=404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")


async def test_declared_assistants_are_listed_with_the_others(api: Api) -> None:
    made = await api.assistant()
    listed = await api.call("GET", "/assistants")
    assert {"asst_helper", made["id"]} <= {assistant["id"] for assistant in listed["data"]}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "integer_below_min_value"),
        ("limit=101", "integer_above_max_value"),
        ("limit=x", "invalid_type"),
        ("order=up", "invalid_value"),
    ],
)
async def test_a_wrong_page_is_refused(api: Api, query: str, code: str) -> None:
    error = await api.refused("GET", f"/assistants?{query}")
    assert (error["code"], error["param"]) == (code, query.partition("=")[0])


async def test_a_cursor_that_never_was_is_not_found(api: Api) -> None:
    error = await api.refused("GET", "/assistants?after=asst_x", status=404)
    assert error["message"] == "No assistant found with id 'asst_x'."
