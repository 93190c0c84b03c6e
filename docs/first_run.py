"""The first run, `make demo`: a real session with the official openai SDK, told while it happens.

It starts `agentrt serve` on a copy of docs/shop in a temporary folder, talks to it, kills it, starts it again, and
goes on. Only the model is not real: it is the scripted stand-in that agentrt brings along. How it is printed is in
first_run_page.py, how the server is started and killed in first_run_server.py.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
from first_run_page import Page
from first_run_server import FirstRunError, Server
from openai.types.beta.threads import Run, Text, TextDelta
from openai.types.beta.threads.runs import FunctionToolCall, RunStep, RunStepDelta
from openai.types.shared_params import FunctionDefinition
from typing_extensions import override

FIND_ORDER = FunctionDefinition(
    name="find_order",
    description="Where an order is and when it arrives.",
    parameters={
        "type": "object",
        "properties": {"order_number": {"type": "integer", "description": "the number of the order"}},
        "required": ["order_number"],
    },
)


def find_order(order_number: int) -> str:
    """The app's own function: only the app can look into its orders."""
    return f"Order {order_number} is on its way and arrives on Friday."


def main() -> int:
    """Run the session. Returns the exit code: 0, 1 when something failed, 130 after Ctrl-C or SIGTERM."""
    page = Page()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must not outlive this program
    try:
        with tempfile.TemporaryDirectory(prefix="agentrt-first-run-") as folder:
            server = Server(Path(folder) / "shop")
            try:
                tell(page, server)
            except (openai.OpenAIError, FirstRunError, OSError) as error:
                page.fail(_said(error), server.last_words())
                return 1
            finally:
                server.kill()
    except KeyboardInterrupt:
        page.stop()
        return 130
    page.what_next()
    return 0


def tell(page: Page, server: Server) -> None:
    """The story: an assistant, three turns, a crash in the middle of the third, and the proof that nothing is lost."""
    page.title()
    page.step("A server")
    page.shell(f"agentrt serve --port {server.port}")
    took_s, health = server.start()
    page.note(f"ready after {took_s:.1f} s at {server.url}")
    page.note(f"database {Path(health['database']).name} · model demo, {health['models']['demo']['why']}")
    client = openai.OpenAI(
        base_url=f"{server.url}/v1",
        api_key="any-text-will-do",
        http_client=openai.DefaultHttpxClient(trust_env=False),  # no proxy between two programs of one machine
    )
    session = Session(client, page)

    page.step("An assistant with two functions")
    session.begin()

    page.step("A turn with a tool")
    session.say("Hi, I am Ada. What does it cost to send 2.5 kg to Norway?")

    page.step("A second turn, which needs the first")
    session.say("What is my name?")

    page.step("Two functions in one turn, and a crash in the middle")
    waiting = session.say("Where is order 1042, and what does it cost to send 3 kg to Japan?")
    if waiting is None:
        raise FirstRunError("the run did not wait for find_order")
    page.note("The run waits for what find_order returns. Now the server dies.")
    page.shell(f"kill -9 {server.kill()}")
    page.shell(f"agentrt serve --port {server.port}")
    took_s, _ = server.start()
    page.note(f"ready after {took_s:.1f} s")
    session.look_back(waiting.id)
    session.answer(waiting)

    page.step("The thread goes on")
    session.say("What was the first thing I said?")

    page.step("Code, in a sandbox")
    analyse(Analysis(client, page), page, server)

    page.step("An answer with its source")
    research = Research(client, page)
    research.begin()
    research.say("How long does the warranty last?")
    research.show_sources()
    server.stop()


def analyse(analysis: Analysis, page: Page, server: Server) -> None:
    """A file goes in, code works on it, a file comes out; or why there is no sandbox here."""
    place = server.sandbox()
    if not place["on"]:
        page.note(f"There is no sandbox here. {place['why']}")
        return
    page.note(f"What isolates it: {place['why'].partition(':')[0]}")
    analysis.begin()
    analysis.say("What is the total of amount in sales.csv?")
    analysis.say("Save 10, 20 and 30 as copy.csv.")
    analysis.download()


class Session:
    """One thread with one assistant, through the official SDK."""

    def __init__(self, client: openai.OpenAI, page: Page) -> None:
        self._client = client
        self._page = page
        self._assistant_id = ""
        self._thread_id = ""
        self._links: dict[str, str] = {}  # of the last answer: what stands for a file → its id

    def begin(self) -> None:
        """Make the assistant and the thread."""
        self._page.code("client.beta.assistants.create(…)")
        with unwarned():
            assistant = self._client.beta.assistants.create(
                name="Desk",
                model="demo",
                instructions="You are the help desk of a small tea shop.",
                tools=[
                    # Known to the server: its name is enough.
                    {"type": "function", "function": {"name": "shipping_cost"}},
                    {"type": "function", "function": FIND_ORDER},
                ],
            )
            thread = self._client.beta.threads.create(metadata={"customer": "ada"})
        self._assistant_id, self._thread_id = assistant.id, thread.id
        self._page.pair("shipping_cost", "Python in tools/parcels.py: the server runs it")
        self._page.pair("find_order", "this app's own: the run stops and waits for the app")

    def say(self, text: str) -> Run | None:
        """Say something and show the answer as it comes. Returns the run if it waits for this app."""
        self._page.code("client.beta.threads.runs.stream(…)")
        self._page.said("you", text)
        with (
            unwarned(),
            self._client.beta.threads.runs.stream(
                thread_id=self._thread_id,
                assistant_id=self._assistant_id,
                additional_messages=[{"role": "user", "content": text}],
                event_handler=Show(self._page),
            ) as show,
        ):
            show.until_done()
        self._links = show.links
        return show.finish()

    def answer(self, waiting: Run) -> None:
        """Do what a waiting run asks of this app, and show how it goes on."""
        self._page.code("client.beta.threads.runs.submit_tool_outputs_stream(…)")
        calls = waiting.required_action.submit_tool_outputs.tool_calls if waiting.required_action else []
        outputs = {call.id: find_order(**json.loads(call.function.arguments)) for call in calls}
        for call in calls:
            self._page.returned(outputs[call.id])
        with (
            unwarned(),
            self._client.beta.threads.runs.submit_tool_outputs_stream(
                thread_id=self._thread_id,
                run_id=waiting.id,
                tool_outputs=[{"tool_call_id": call_id, "output": output} for call_id, output in outputs.items()],
                event_handler=Show(self._page),
            ) as show,
        ):
            show.until_done()
        show.finish()

    def look_back(self, run_id: str) -> None:
        """What the new server knows of the old one's work. Raises FirstRunError if that is not everything."""
        self._page.code('client.get("/threads", …)')
        found: Any = self._client.get(
            "/threads",  # agentrt's own: the SDK has no method for it
            cast_to=object,
            options={"headers": {"OpenAI-Beta": "assistants=v2"}, "params": {"metadata[customer]": "ada"}},
        )
        with unwarned():
            messages = self._client.beta.threads.messages.list(self._thread_id).data
            run = self._client.beta.threads.runs.retrieve(run_id, thread_id=self._thread_id)
        if [thread["id"] for thread in found["data"]] != [self._thread_id] or run.status != "requires_action":
            raise FirstRunError(f"something was lost: {len(found['data'])} threads, and the run is {run.status}")
        self._page.note(f"one thread of customer ada · {len(messages)} messages · its run: {run.status}, as before")


class Analysis(Session):
    """A thread whose assistant runs code."""

    def begin(self) -> None:
        """Upload a file, and make an assistant and a thread that has it."""
        self._page.code("client.files.create(…)")
        file = self._client.files.create(file=("sales.csv", b"month,amount\njan,10\nfeb,20\n"), purpose="assistants")
        with unwarned():
            assistant = self._client.beta.assistants.create(
                name="Analyst", model="demo", tools=[{"type": "code_interpreter"}]
            )
            thread = self._client.beta.threads.create(tool_resources={"code_interpreter": {"file_ids": [file.id]}})
        self._assistant_id, self._thread_id = assistant.id, thread.id
        self._page.pair(file.filename, f"{file.bytes} bytes")

    def download(self) -> None:
        """Get what the last answer links to."""
        self._page.code("client.files.content(…)")
        for name, file_id in self._links.items():
            content = self._client.files.content(file_id).text.splitlines()
            self._page.pair(name.rpartition("/")[2], " · ".join(content))


class Research(Session):
    """A thread whose assistant looks things up."""

    def begin(self) -> None:
        """Put a file into a vector store, and make an assistant that searches it."""
        self._page.code("client.vector_stores.files.upload_and_poll(…)")
        text = b"Refunds are paid within 14 days.\n\nThe warranty lasts two years. Batteries are not covered.\n"
        store = self._client.vector_stores.create(name="handbook")
        file = self._client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("handbook.md", text), poll_interval_ms=50
        )
        with unwarned():
            assistant = self._client.beta.assistants.create(
                name="Clerk",
                model="demo",
                tools=[{"type": "file_search"}],
                tool_resources={"file_search": {"vector_store_ids": [store.id]}},
            )
            thread = self._client.beta.threads.create()
        self._assistant_id, self._thread_id = assistant.id, thread.id
        self._page.pair("handbook.md", file.status)

    def show_sources(self) -> None:
        """Which file each marker of the last answer stands for. Raises FirstRunError if there is none."""
        if not self._links:
            raise FirstRunError("the answer does not say where it is from")
        for marker, file_id in self._links.items():
            self._page.pair(marker, self._client.files.retrieve(file_id).filename)


class Show(openai.AssistantEventHandler):
    """Shows a run while it streams."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page
        self._calls: list[FunctionToolCall] = []
        self._n_shown = 0
        self.links: dict[str, str] = {}

    @override
    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self._page.piece("desk", delta.value or "")

    @override
    def on_text_done(self, text: Text) -> None:
        self.links = {
            note.text: note.file_path.file_id if note.type == "file_path" else note.file_citation.file_id
            for note in text.annotations
        }

    @override
    def on_run_step_done(self, run_step: RunStep) -> None:
        if run_step.step_details.type != "tool_calls":
            return
        for call in run_step.step_details.tool_calls:
            if call.type == "code_interpreter":
                self._page.program(call.code_interpreter.input)
                logs = [output.logs for output in call.code_interpreter.outputs if output.type == "logs"]
                self._page.returned("".join(logs).strip())
            if call.type == "file_search":
                account: Any = (call.model_extra or {})["agentrt"]
                self._page.called("file_search", json.dumps({"queries": account["queries"]}))
                self._page.returned(" · ".join(result.file_name for result in call.file_search.results or []))

    @override
    def on_run_step_delta(self, delta: RunStepDelta, snapshot: RunStep) -> None:
        if delta.step_details is None or delta.step_details.type != "tool_calls":
            return
        if snapshot.step_details.type == "tool_calls":
            self._calls = [call for call in snapshot.step_details.tool_calls if call.type == "function"]
        self._show_calls(len(self._calls) - 1)  # the arguments of a call are whole when the next one begins
        for piece in delta.step_details.tool_calls or []:
            if piece.type == "function" and piece.function is not None and piece.function.output is not None:
                self._show_calls(len(self._calls))
                self._page.returned(piece.function.output)

    def finish(self) -> Run | None:
        """The run if it waits for this app. Raises FirstRunError if it ended badly."""
        self._show_calls(len(self._calls))
        self._page.end_line()
        run = self.current_run
        if run is not None and run.status == "requires_action":
            return run
        if run is None or run.status != "completed":
            why = run.last_error.message if run is not None and run.last_error else "the stream broke off"
            raise FirstRunError(f"the run is {'gone' if run is None else run.status}: {why}")
        return None

    def _show_calls(self, up_to: int) -> None:
        for call in self._calls[self._n_shown : up_to]:
            self._page.called(call.function.name, call.function.arguments)
        self._n_shown = max(self._n_shown, up_to)


@contextmanager
def unwarned() -> Iterator[None]:
    """The SDK calls every method of the Assistants API deprecated: the service it was made for has ended.

    That is why agentrt exists, and no news here. Only around the SDK's calls: other warnings are shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, FirstRunError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
