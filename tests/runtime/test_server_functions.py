"""What a model is shown of the functions that the server runs itself."""

from __future__ import annotations

from pathlib import Path

from agentrt import Agent, FunctionTool, NewMessage, NewRun, NewThread, Runtime, TextPart, tool
from agentrt.engine.events import RunCompleted
from agentrt.runtime.requests import NewAssistant
from agentrt.testing.scripts import ScriptedModel, call, text


@tool
def shipping_cost(weight_kg: float) -> str:
    """What a parcel costs.

    weight_kg: how heavy it is.
    """
    return f"{weight_kg} kg: 12 EUR"


async def test_of_the_servers_own_function_a_caller_need_only_give_the_name(tmp_path: Path) -> None:
    shown = await functions_shown(tmp_path, FunctionTool("shipping_cost"), FunctionTool("find_order", "Finds it."))

    assert shown == (
        FunctionTool("shipping_cost", "What a parcel costs.", shipping_cost.parameters),
        FunctionTool("find_order", "Finds it."),
    )


async def test_what_the_caller_says_of_a_function_goes_before_its_registration(tmp_path: Path) -> None:
    theirs = FunctionTool("shipping_cost", "Postage.", {"type": "object", "properties": {}})

    assert await functions_shown(tmp_path, theirs) == (theirs,)


async def functions_shown(folder: Path, *functions: FunctionTool) -> tuple[object, ...]:
    """What a model sees of an API assistant with these functions; one of them is called, and the run completes."""
    model = ScriptedModel(call("shipping_cost", weight_kg=2.5), text("Twelve."))
    config = folder / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')
    async with Runtime(config, tools=[shipping_cost], models={"scripted": model}) as runtime:
        assistant = await runtime.assistants.create("default", NewAssistant(model="scripted", tools=functions))
        thread = await runtime.threads.create("default", NewThread())
        said = NewMessage("user", (TextPart("What does a parcel cost?"),))
        run = await runtime.runs.create("default", thread.id, NewRun(assistant_id=assistant.id, messages=(said,)))
        last = [burst[-1].event async for burst in runtime.runs.follow(run.spec.id)][-1]
        assert isinstance(last, RunCompleted)
    return model.requests[0].tools


async def test_a_model_that_calls_an_unknown_function_is_told_which_ones_there_are() -> None:
    model = ScriptedModel(call("shiping_cost"), text("Sorry."))
    agent = Agent("You answer briefly.", model=model, tools=[shipping_cost])

    result = await agent.run("What does a parcel cost?")

    assert result.messages[1].text == (
        "There is no tool named 'shiping_cost'. Did you mean 'shipping_cost'? The tools that exist: shipping_cost."
    )
