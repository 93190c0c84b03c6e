"""What a good agents.toml means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentrt.config.load import load_config
from agentrt.config.schema import (
    AgentLimits,
    AnswerFormat,
    Config,
    KeySpec,
    ModelLimits,
    Price,
    RetentionSpec,
    RuntimeLimits,
    ScheduleSpec,
    TruncationSpec,
)
from agentrt.secret import Secret, hash_key
from tests.config.conftest import ProjectFolder

EVERYTHING = """\
version = 1

[runtime]
database = "postgresql://agentrt:${PGPASSWORD}@db/agentrt"
data_dir = "data"
default_agent = "analyst"
run_expiry = "1h30m"
limits = { max_steps = 5, max_parallel_tools = 2, max_concurrent_runs = 3, max_tool_output = "2MB" }
retention = { threads = "90d", files = "forever", events = 3600, webhook_deliveries = "1d" }

[server]
host = "0.0.0.0"
port = 9000
root_path = "/ai"
cors = ["*", "http://localhost:3000"]
unknown_fields = "ignore"

[[server.keys]]
name = "web"
key = "${WEB_KEY}"

[[server.keys]]
name = "batch"
hash = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
project = "night"

[models.fast]
provider = "openai"
model = "gpt-4o-mini"
api_key = "${OPENAI_API_KEY}"
organization = "org-1"
timeout = 12.5
retries = 0
fallbacks = ["local", "demo"]
context_window = 128_000
images = false
price = { input = 1, output = 2.5 }
limits = { rpm = 1, tpm = 2, concurrent = 3 }
answers_to = ["gpt-4*"]
headers = { X-Team = "support" }

[models.local]
provider = "ollama"
base_url = "http://127.0.0.1:11434"
model = "qwen3:8b"

[tools.look]
python = "tools/x.py:look_up"
timeout = "500ms"
retry = "idempotent"
options = { folder = "docs", depth = 3 }

[tools.installed]
python = "json.tool:main"

[sandboxes.science]
driver = "docker"
preset = "network"
image = "registry.example.com/science:3"
packages = ["scipy>=1.14", "pandas[excel]==2.2.3"]
memory = "1GB"
cpus = 2
processes = 64
disk = "100MB"
timeout = "2m"
network = ["api.example.com", "*.example.com:8080"]
environment = { TZ = "UTC" }
runtime = "runsc"
pool = { warm = 1, max = 3, ttl = 0, life = "1d" }

[sandboxes.small]
preset = "strict"
build = "boxes/small"
cpus = 1

[agents.helper]
id = "asst_old"
name = "Helper"
description = "Helps."
model = "fast"
instructions_file = "prompts/helper.md"
tools = ["look", "code_interpreter"]
sandbox = "small"
temperature = 1
top_p = 0.5
reasoning_effort = "low"
response_format = "json_object"
tool_choice = "look"
parallel_tool_calls = false
truncation_strategy = { type = "last_messages", last_messages = 4 }
limits = { max_steps = 2, max_prompt_tokens = 1000, max_completion_tokens = 500, timeout = "2m" }
on_busy = "enqueue"
metadata = { team = "support" }

[agents.analyst]
extends = "helper"
model = "gpt-4-turbo"
instructions = "Analyse."

[schedules.daily]
cron = "0 9 * * mon-fri"
timezone = "Europe/Oslo"
agent = "helper"
message = "What happened?"
thread = "same"
on_busy = "interrupt"
catch_up = "2h"
enabled = false
metadata = { team = "support" }

[schedules.hourly]
cron = "0 * * * *"
agent = "analyst"
message = "Look."
"""


@pytest.fixture
def everything(project: ProjectFolder) -> Config:
    project.write("tools/x.py", "def look_up() -> None: ...\n")
    project.write("prompts/helper.md", "You help.\n")
    project.write("boxes/small/Dockerfile", "FROM scratch\n")
    return project.load(EVERYTHING, PGPASSWORD="pg-pass", WEB_KEY="web-key-of-some-length", OPENAI_API_KEY="sk-1")


def test_paths_times_and_sizes_of_the_runtime_are_resolved(everything: Config, tmp_path: Path) -> None:
    runtime = everything.runtime
    assert (everything.path, everything.folder) == (tmp_path / "agents.toml", tmp_path)
    assert runtime.database.reveal() == "postgresql://agentrt:pg-pass@db/agentrt"
    assert runtime.data_dir == tmp_path / "data"
    assert runtime.default_agent == "analyst"
    assert runtime.run_expiry_s == 5400
    assert runtime.limits == RuntimeLimits(
        max_steps=5, max_parallel_tools=2, max_concurrent_runs=3, max_tool_output_bytes=2 * 1024**2
    )
    assert runtime.retention == RetentionSpec(
        threads_s=90 * 86_400.0, files_s=None, events_s=3600.0, webhook_deliveries_s=86_400.0
    )
    assert RetentionSpec() == RetentionSpec(
        threads_s=None, files_s=None, events_s=14 * 86_400.0, webhook_deliveries_s=30 * 86_400.0
    )
    assert everything.warnings == ()


def test_schedules_name_their_agents_assistant(everything: Config) -> None:
    assert everything.schedules["daily"] == ScheduleSpec(
        name="daily",
        id="sched_daily",
        cron="0 9 * * mon-fri",
        timezone="Europe/Oslo",
        assistant_id="asst_old",
        message="What happened?",
        thread="same",
        on_busy="interrupt",
        catch_up_s=7200.0,
        enabled=False,
        metadata={"team": "support"},
    )
    hourly = everything.schedules["hourly"]
    assert (hourly.timezone, hourly.thread, hourly.on_busy, hourly.catch_up_s, hourly.enabled) == (
        "UTC", "new", None, 3600.0, True,
    )  # fmt: skip


def test_the_server_has_its_keys_as_hashes(everything: Config) -> None:
    server = everything.server
    assert (server.host, server.port, server.root_path) == ("0.0.0.0", 9000, "/ai")
    assert (server.cors, server.unknown_fields) == (("*", "http://localhost:3000"), "ignore")
    assert server.keys == (
        KeySpec(name="web", hash=hash_key("web-key-of-some-length")),
        KeySpec(name="batch", hash="sha256:" + "0123456789abcdef" * 4, project="night"),
    )


def test_models_stand_in_the_files_order_with_demo_behind_them(everything: Config) -> None:
    assert list(everything.models) == ["fast", "local", "demo"]
    fast = everything.models["fast"]
    assert (fast.name, fast.provider, fast.model) == ("fast", "openai", "gpt-4o-mini")
    assert fast.api_key == Secret("sk-1")
    assert fast.headers == {"X-Team": Secret("support"), "OpenAI-Organization": Secret("org-1")}
    assert (fast.base_url, fast.timeout_s, fast.retries) == (None, 12.5, 0)
    assert (fast.fallbacks, fast.answers_to) == (("local", "demo"), ("gpt-4*",))
    assert (fast.context_window, fast.takes_images, fast.unavailable) == (128_000, False, None)
    assert fast.price == Price(input=1, cached_input=1, output=2.5)
    assert fast.limits == ModelLimits(rpm=1, tpm=2, concurrent=3)
    assert everything.models["local"].takes_images
    assert everything.models["demo"].answers_to == ()


def test_tools_name_a_function_in_a_file_or_in_a_module(everything: Config, tmp_path: Path) -> None:
    look, installed = everything.tools["look"], everything.tools["installed"]
    assert (look.file, look.module, look.function) == (tmp_path / "tools/x.py", None, "look_up")
    assert (look.timeout_s, look.retry, look.folder) == (0.5, "idempotent", tmp_path)
    assert look.options == {"folder": "docs", "depth": 3}
    assert (installed.file, installed.module, installed.function) == (None, "json.tool", "main")
    assert (installed.timeout_s, installed.retry) == (None, None)


def test_an_agent_has_all_that_an_assistant_has(everything: Config) -> None:
    helper = everything.agents["helper"]
    assert (helper.name, helper.id, helper.display_name) == ("helper", "asst_old", "Helper")
    assert (helper.description, helper.model) == ("Helps.", "fast")
    assert helper.instructions == "You help.\n"
    assert (helper.tools, helper.sandbox) == (("look", "code_interpreter"), "small")
    assert (helper.temperature, helper.top_p, helper.reasoning_effort) == (1, 0.5, "low")
    assert helper.response_format == AnswerFormat(type="json_object")
    assert (helper.tool_choice, helper.parallel_tool_calls) == ("look", False)
    assert helper.truncation_strategy == TruncationSpec(type="last_messages", last_messages=4)
    assert helper.limits == AgentLimits(max_steps=2, max_prompt_tokens=1000, max_completion_tokens=500, timeout_s=120)
    assert (helper.on_busy, helper.metadata) == ("enqueue", {"team": "support"})


def test_an_agent_that_extends_another_keeps_its_own_name_and_id(everything: Config) -> None:
    analyst = everything.agents["analyst"]
    assert (analyst.id, analyst.display_name) == ("asst_analyst", "analyst")
    assert (analyst.model, analyst.instructions) == ("gpt-4-turbo", "Analyse.")
    assert analyst.tools == ("look", "code_interpreter")
    assert analyst.on_busy == "enqueue"


def test_without_a_file_there_is_the_demo_model_and_one_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(None, environ={})
    assert config.path is None
    assert list(config.models) == ["demo"]
    assert config.models["demo"].answers_to == ("*",)
    assert (config.agents["helper"].id, config.agents["helper"].model) == ("asst_helper", "demo")
    assert config.runtime.default_agent == "helper"
    assert config.runtime.database.reveal() == f"sqlite:///{tmp_path}/.agentrt/agentrt.db"
    assert (config.server.host, config.server.port, config.server.keys) == ("127.0.0.1", 8700, ())


def test_a_file_without_agents_gets_one_on_its_first_model(project: ProjectFolder) -> None:
    config = project.load('[models.local]\nprovider = "ollama"\nmodel = "qwen3:8b"\n')
    assert config.agents["helper"].model == "local"


def test_the_first_agent_is_the_default(project: ProjectFolder) -> None:
    config = project.load('[agents.b]\nmodel = "demo"\n[agents.a]\nmodel = "demo"\n')
    assert config.runtime.default_agent == "b"


def test_the_file_may_define_demo_itself(project: ProjectFolder) -> None:
    config = project.load('[models.demo]\nprovider = "demo"\ndelay = "20ms"\nanswers_to = ["gpt-*"]\n')
    assert list(config.models) == ["demo"]
    assert config.models["demo"].delay_s == 0.02
    assert config.models["demo"].answers_to == ("gpt-*",)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:///some/a.db", "sqlite:///{folder}/some/a.db"),
        ("sqlite:////var/a.db?mode=ro", "sqlite:////var/a.db?mode=ro"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql+asyncpg://db/x", "postgresql+asyncpg://db/x"),
    ],
)
def test_a_relative_sqlite_file_starts_at_the_folder(project: ProjectFolder, url: str, meant: str) -> None:
    config = project.load(f'[runtime]\ndatabase = "{url}"\n')
    assert config.runtime.database.reveal() == meant.format(folder=project.folder)


def test_data_goes_to_the_state_folder_when_the_file_stands_elsewhere(project: ProjectFolder, tmp_path: Path) -> None:
    path = project.write("bundle/agents.toml", '[runtime]\ndata_dir = "data"\n')
    config = load_config(path, environ={}, state_folder=tmp_path / "here")
    assert config.folder == tmp_path / "bundle"
    assert config.runtime.data_dir == tmp_path / "here" / "data"
    assert config.runtime.database.reveal() == f"sqlite:///{tmp_path}/here/data/agentrt.db"


class TestVariables:
    def test_a_default_stands_in_for_what_is_not_set_or_empty(self, project: ProjectFolder) -> None:
        text = '[runtime]\ndata_dir = "${DIR:-data}/${NAME:-}x"\n'
        assert project.load(text).runtime.data_dir.name == "x"
        assert project.load(text, DIR="", NAME="y").runtime.data_dir == project.folder / "data" / "yx"
        assert project.load(text, DIR="d").runtime.data_dir.parent.name == "d"

    def test_a_doubled_dollar_is_a_literal(self, project: ProjectFolder) -> None:
        config = project.load('[agents.a]\nmodel = "demo"\ninstructions = "Write $${HOME}, $5 and $HOME."\n')
        assert config.agents["a"].instructions == "Write ${HOME}, $5 and $HOME."

    def test_numbers_and_booleans_may_come_from_one(self, project: ProjectFolder) -> None:
        config = project.load(
            """
            [runtime]
            run_expiry = "${EXPIRY}"
            limits = { max_tool_output = "${SIZE}" }
            [server]
            port = "${PORT}"
            [agents.a]
            model = "demo"
            temperature = "${T}"
            parallel_tool_calls = "${P}"
            """,
            EXPIRY="90",
            SIZE="1KB",
            PORT="1234",
            T="0.5",
            P="False",
        )
        assert (config.runtime.run_expiry_s, config.runtime.limits.max_tool_output_bytes) == (90, 1024)
        assert config.server.port == 1234
        assert (config.agents["a"].temperature, config.agents["a"].parallel_tool_calls) == (0.5, False)

    def test_text_out_of_one_is_plain_text(self, project: ProjectFolder) -> None:
        config = project.load('[tools.t]\npython = "a:b"\noptions = { a = ["${A}"], b = "${A}" }\n', A="x")
        options = config.tools["t"].options
        assert options == {"a": ["x"], "b": "x"}
        assert type(options["b"]) is str

    def test_keys_and_values_of_variables_are_not_filled_in(self, project: ProjectFolder) -> None:
        config = project.load('[agents.a]\nmodel = "demo"\nmetadata = { "${A}" = "${A}" }\n', A="${B}")
        assert config.agents["a"].metadata == {"${A}": "${B}"}

    @pytest.mark.parametrize(("environ", "state"), [({}, "is not set"), ({"MY_KEY": ""}, "is empty")])
    def test_a_missing_api_key_makes_only_its_model_unavailable(
        self, project: ProjectFolder, environ: dict[str, str], state: str
    ) -> None:
        config = project.load(
            """\
            [models.fast]
            provider = "openai"
            model = "gpt-4o"
            api_key = "${MY_KEY}"
            [agents.a]
            model = "fast"
            """,
            **environ,
        )
        assert config.models["fast"].unavailable == f"MY_KEY {state} (agents.toml:4:11)"
        assert config.models["demo"].unavailable is None
        assert config.agents["a"].model == "fast"

    def test_a_vendors_model_without_api_key_is_unavailable(self, project: ProjectFolder) -> None:
        config = project.load('[models.fast]\nprovider = "openai"\nmodel = "x"\n')
        assert config.models["fast"].unavailable == "it has no api_key (agents.toml:1:1)"

    def test_a_local_model_needs_no_api_key(self, project: ProjectFolder) -> None:
        config = project.load('[models.x]\nprovider = "openai"\nmodel = "x"\nbase_url = "http://127.0.0.1:1/v1"\n')
        assert config.models["x"].unavailable is None


class TestOverrides:
    def test_a_variable_overrides_a_key_of_the_file(self, project: ProjectFolder) -> None:
        config = project.load(
            '[server]\nport = 1\n[models."gpt-4.1"]\nprovider = "demo"\n',
            AGENTRT__SERVER__PORT="9001",
            AGENTRT__SERVER__CORS='["*"]',
            AGENTRT__RUNTIME__LIMITS__MAX_STEPS="7",
            AGENTRT__MODELS__GPT_4_1__CONTEXT_WINDOW="1000",
        )
        assert (config.server.port, config.server.cors) == (9001, ("*",))
        assert config.runtime.limits.max_steps == 7
        assert config.models["gpt-4.1"].context_window == 1000

    def test_it_reaches_tables_of_included_files(self, project: ProjectFolder) -> None:
        project.write("more.toml", '[models.x]\nprovider = "demo"\n')
        config = project.load('include = ["more.toml"]\n', AGENTRT__MODELS__X__CONTEXT_WINDOW="1000")
        assert config.models["x"].context_window == 1000

    def test_it_works_without_a_file(self) -> None:
        assert load_config(None, environ={"AGENTRT__SERVER__PORT": "9001"}).server.port == 9001

    def test_other_variables_are_none_of_ours(self) -> None:
        assert load_config(None, environ={"AGENTRT_LOG": "x", "AGENTRT": "y"}).server.port == 8700


class TestIncludes:
    def test_files_are_put_together_and_their_paths_start_at_their_own_folder(self, project: ProjectFolder) -> None:
        project.write("agents.d/b.toml", '[agents.b]\nextends = "a"\n[[server.keys]]\nname = "b"\nkey = "${B}"\n')
        project.write(
            "agents.d/a.toml",
            """
            [server]
            port = 9000
            [tools.t]
            python = "t.py:run"
            [agents.a]
            model = "m"
            instructions_file = "a.md"
            """,
        )
        project.write("agents.d/t.py", "async def run() -> None: ...\n")
        project.write("agents.d/a.md", "Be a.")
        config = project.load(
            """
            include = ["agents.d/*.toml", "none/*.toml"]
            [server]
            host = "localhost"
            [[server.keys]]
            name = "main"
            key = "${A}"
            [models.m]
            provider = "demo"
            """,
            A="a" * 20,
            B="b" * 20,
        )
        assert (config.server.host, config.server.port) == ("localhost", 9000)
        assert [key.name for key in config.server.keys] == ["main", "b"]
        assert config.tools["t"].file == project.folder / "agents.d" / "t.py"
        assert config.agents["b"].instructions == "Be a."


class TestResponseFormat:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ('"text"', AnswerFormat(type="text")),
            ('"auto"', AnswerFormat()),
            ('{ type = "json_object" }', AnswerFormat(type="json_object")),
            (
                '{ type = "json_schema", json_schema = { name = "a", schema = { type = "object" }, strict = true } }',
                AnswerFormat(
                    type="json_schema", json_schema={"name": "a", "schema": {"type": "object"}, "strict": True}
                ),
            ),
        ],
    )
    def test_it_is_a_word_or_the_apis_object(self, project: ProjectFolder, written: str, meant: AnswerFormat) -> None:
        config = project.load(f'[agents.a]\nmodel = "demo"\nresponse_format = {written}\n')
        assert config.agents["a"].response_format == meant

    @pytest.mark.parametrize(
        "content", [{"type": "object"}, {"name": "my_answer", "schema": {"type": "object"}}], ids=["schema", "object"]
    )
    def test_a_file_holds_the_schema_or_the_apis_object(self, project: ProjectFolder, content: object) -> None:
        project.write("schemas/my.answer.json", json.dumps(content))
        config = project.load('[agents.a]\nmodel = "demo"\nresponse_format = { file = "schemas/my.answer.json" }\n')
        answer = config.agents["a"].response_format
        assert answer == AnswerFormat(
            type="json_schema", json_schema={"name": "my_answer", "schema": {"type": "object"}}
        )
