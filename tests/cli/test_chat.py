"""`agentrt chat`, as a person at a terminal sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.projects import LOOKUP, agentrt, serving
from tests.cli.ptys import at_terminal

Call = Callable[..., Result]


def test_a_chat_from_the_first_words_to_the_last(project: Path) -> None:
    with at_terminal(project, "chat") as person:
        greeting = person.see("you › ")
        assert "helper › ready · model demo · tools get_weather, wait_for · /help" in greeting
        assert "demo is a scripted stand-in, not a language model" in greeting
        person.type("What is the weather in Oslo?\n")
        answer = person.see("you › ")
        assert re.search(r'→ get_weather\(city="Oslo"\)  (\d+ ms|\d\.\d s)', answer)
        assert "4 degrees in Oslo" in answer
        person.press("D")
        farewell = person.see("agentrt chat --last")
        thread = re.search(r"thread (thread_\w+) kept", farewell)
        assert thread is not None
        assert person.leave() == 0
    with at_terminal(project, "chat", "--last") as person:
        resumed = person.see("you › What is the weather in Oslo?") + person.see("you › ")
        assert "4 degrees in Oslo" in resumed
        person.type("/thread\n")
        assert f"{thread[1]} · 2 messages" in person.see("you › ")
        person.type("/exit\n")
        assert person.leave() == 0


def test_ctrl_c_cancels_the_run_and_not_the_program(project: Path) -> None:
    with at_terminal(project, "chat") as person:
        person.see("you › ")
        person.type("wait for 60 seconds\n")
        person.see("→ wait_for(seconds=60)")
        person.press("C")
        person.see("cancelled")
        person.see("you › ")
        person.type("half a lin")
        person.see("half a lin")
        person.press("C")
        person.see("Ctrl-D or /exit leaves")
        person.see("you › ")
        person.type("What is the weather in Rome?\n")
        person.see("4 degrees in Rome")
        person.see("you › ")
        person.type("/exit\n")
        assert person.leave() == 0


def test_an_answer_that_is_being_given_can_be_stopped(project: Path) -> None:
    with at_terminal(project, "chat", "-m", "slow") as person:
        person.see("you › ")
        person.type("Hello\n")
        person.see("scripted demo")
        person.press("C")
        person.see("cancelled")
        person.see("you › ")
        person.press("D")
        assert person.leave() == 0


def test_the_commands_of_the_chat(project: Path) -> None:
    with at_terminal(project, "chat") as person:
        person.see("you › ")
        person.type("/help\n")
        assert "/model   which models there are" in person.see("you › ")
        person.type("/tools\n")
        assert re.search(r"get_weather\s+runs by itself", person.see("you › "))
        person.type("/model\n")
        models = person.see("you › ")
        assert "• demo" in models
        assert "A_KEY_THAT_IS_NOT_SET is not set" in models
        person.type("/model fast\n")
        assert 'error[E204]: model "fast" is not available' in person.see("you › ")
        person.type("/model slow\n")
        assert "model slow from now on" in person.see("you › ")
        person.type("/thread\n")
        assert "a new thread" in person.see("you › ")
        person.type("/modle\n")
        assert "did you mean /model?" in person.see("you › ")
        person.type("/he\t")
        person.see("/help ")
        person.type("\n")
        person.see("you › ")
        person.type("two \\\nlines\n")
        assert "two" in person.see("you › ")
        person.type("/new\n")
        person.see("you › ")
        person.press("D")
        assert person.leave() == 0
    threads = json.loads(agentrt(project, "threads", "--json").stdout)
    assert [thread["title"] for thread in threads] == ["two lines"]


def test_an_error_is_told_and_the_chat_goes_on(project: Path) -> None:
    with at_terminal(project, "chat", "-m", "broken") as person:
        person.see("you › ")
        person.type("Hello\n")
        assert "127.0.0.1:9" in person.see("error[E101]: the run failed") + person.see("you › ")
        person.type("/model demo\n")
        person.see("you › ")
        person.type("Hello\n")
        person.see("scripted demo model")
        person.see("you › ")
        person.press("D")
        assert person.leave() == 0


def test_a_call_that_is_the_persons_is_answered_by_the_person_through_the_server(project: Path) -> None:
    with serving(project) as service:
        service.call("POST", "/assistants", {"model": "demo", "name": "Orders", "tools": [LOOKUP]})
        with at_terminal(project, "chat", "Orders") as person:
            assert service.url in person.see("you › ")
            person.type("look up order A-17\n")
            person.see('? lookup_order(order_id="A-17")')
            person.see("returns › ")
            person.type("shipped yesterday\n")
            assert person.see("you › ").count("shipped yesterday") > 1, "typed, and said by the agent"
            person.type("look up order A-18\n")
            person.see("returns › ")
            person.press("C")
            person.see("cancelled")
            person.see("you › ")
            person.type("look up order A-19\n")
            person.see("returns › ")
            person.process.terminate()
            person.leave()
        # The run still waits: whoever comes back is asked again.
        with at_terminal(project, "chat", "Orders", "--last") as person:
            person.see("you › look up order A-19")
            person.see('? lookup_order(order_id="A-19")')
            person.see("returns › ")
            person.type("lost\n")
            assert person.see("you › ").count("lost") > 1
            person.press("D")
            assert person.leave() == 0


def test_what_is_typed_while_the_agent_talks_waits_for_the_prompt(project: Path) -> None:
    with at_terminal(project, "chat", "-m", "slow") as person:
        person.see("you › ")
        person.type("Hello\n")
        person.see("Hello! I am")
        person.type("/exit\n")
        assert "/exit" not in person.see("though:")
        assert person.leave() == 0


def test_a_chat_that_is_terminated_gives_the_terminal_its_echo_back(project: Path) -> None:
    with at_terminal(project, "chat") as person:
        person.see("you › ")
        assert person.has_echo() is False, "readline echoes by itself"
        person.type("wait for 60 seconds\n")
        person.see("→ wait_for(seconds=60)")
        person.process.terminate()
        assert person.leave() == 128 + 15
        assert person.has_echo()


def test_without_a_terminal_lines_come_in_and_answers_go_out(call: Call, project: Path) -> None:
    result = call("chat", stdin="What is the weather in Oslo?\n\nAnd in Rome?\n")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith('  → get_weather(city="Oslo")')
    assert "4 degrees in Oslo" in lines[1]
    assert "\x1b" not in result.output
    assert "you ›" not in result.output


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [(["--last"], "E302", 3), (["nobody"], "E301", 3), (["keyless"], "E204", 2), (["-t", "thread_x"], "E302", 3)],
)
def test_a_chat_that_cannot_begin_says_why(
    call: Call, project: Path, words: list[str], code: str, exit_code: int
) -> None:
    result = call("chat", *words)
    assert result.exit_code == exit_code
    assert f"error[{code}]" in result.stderr


def test_no_colour_is_obeyed_on_a_terminal(project: Path) -> None:
    with at_terminal(project, "run", "helper", "What is the weather in Oslo?", NO_COLOR="1") as person:
        person.see("4 degrees in Oslo")
        assert person.leave() == 0
        assert "\x1b[1m" not in person.raw
        assert "\x1b[36m" not in person.raw


@pytest.mark.parametrize(
    ("words", "agent"), [(["-t", "{thread}"], "other"), (["--last"], "other"), (["helper", "-t", "{thread}"], "helper")]
)
def test_a_thread_goes_on_with_the_agent_that_answered_last(
    call: Call, project: Path, words: list[str], agent: str
) -> None:
    with (project / "agents.toml").open("a", encoding="utf-8") as file:
        file.write('\n[agents.other]\nmodel = "demo"\n')
    thread_id = json.loads(call("run", "other", "Hello", "--json").stdout)["thread_id"]
    (project / ".agentrt" / "last_chat").write_text(thread_id, encoding="utf-8")
    with at_terminal(project, "chat", *(word.format(thread=thread_id[:-3]) for word in words)) as person:
        assert f"{agent} › ready" in person.see("you › Hello")
        person.see("you › ")
        person.press("D")
        assert person.leave() == 0
