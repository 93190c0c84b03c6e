"""What a bad agents.toml is told: all of it at once, each with its place, the reason and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.config.load import load_config
from agentrt.errors import ConfigError
from tests.config.conftest import ProjectFolder

MODEL = '[models.m]\nprovider = "demo"\n'
SCHEDULE = '[schedules.s]\nagent = "helper"\nmessage = "Hi"\n'


def test_a_problem_shows_its_line_with_a_caret_and_what_would_be_right(project: ProjectFolder) -> None:
    assert project.problem('[server]\nport = 8700\nhosts = "x"\n') == (
        'agents.toml:3:1: server.hosts: unknown key\n  3 | hosts = "x"\n    | ^^^^^\n  fix: did you mean `host`?'
    )


def test_all_problems_of_all_files_come_at_once_in_their_order(project: ProjectFolder) -> None:
    project.write("more.toml", "[agents.b]\nmodel = 1\n[server]\nport = 2\n")
    problems = project.problems(
        """\
        include = ["more.toml"]
        [server]
        port = "x"
        ui = true
        [models.fast]
        provider = "opnai"
        fallbacks = ["slow"]
        [agents.a]
        model = "fats"
        tools = ["t"]
        temperature = 3
        extends = "c"
        """
    )
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["agents.toml:3:8", "server.port"],
        ["agents.toml:4:1", "server.ui"],
        ["agents.toml:6:12", "models.fast.provider"],
        ["agents.toml:7:14", "models.fast.fallbacks[0]"],
        ["agents.toml:9:9", "agents.a.model"],
        ["agents.toml:10:10", "agents.a.tools[0]"],
        ["agents.toml:11:15", "agents.a.temperature"],
        ["agents.toml:12:11", "agents.a.extends"],
        ["more.toml:2:9", "agents.b.model"],
        ["more.toml:4:1", "server.port"],
    ]


@pytest.mark.parametrize(
    ("text", "where", "what", "fix"),
    [
        # types and bounds
        ('[server]\nport = "8700"\n', "2:8", '"8700" is not a whole number', "a whole number, such as port = 8700"),
        ("[server]\nport = 70000\n", "2:8", "70000 is too large", "at most 65535"),
        ("[server]\nhost = 127\n", "2:8", "127 is not a text in quotes", 'such as host = "127.0.0.1"'),
        ('[server]\ncors = "*"\n', "2:8", '"*" is not a list', 'put it into brackets: cors = ["*"]'),
        ('[server]\ncors = ["http://a/b"]\n', "2:9", '"http://a/b" is not an origin', "without a path"),
        ('[server]\nroot_path = "ai/"\n', "2:13", '"ai/" is not a path prefix', 'such as "/ai"'),
        ('[server]\nunknown_fields = "ignor"\n', "2:18", '"ignor" is none of error or ignore', '"ignore"?'),
        ("[server]\nkeys = 5\n", "2:8", "5 is not a list", "a list"),
        ('[server.keys]\nname = "x"\n', "1:1", "server.keys is a list of tables", "[[server.keys]]"),
        ("[runtime]\nlimits = { max_steps = 0 }\n", "2:24", "0 is too small", "at least 1"),
        ('[runtime]\nrun_expiry = "soon"\n', "2:14", '"soon" is not a duration', '"10m" or "1h30m"'),
        ("[runtime]\nrun_expiry = 0\n", "2:14", "0 is not a duration", "seconds as a number"),
        ('[runtime]\nlimits.max_tool_output = "5XB"\n', "2:26", '"5XB" is not a size', '"256KB"'),
        ('[runtime]\ndatabase = "mysql://x"\n', "2:12", "this is not a database's URL", "sqlite:///FILE"),
        ("version = 2\n", "1:11", "this release does not read version 2", "write version = 1"),
        ('models = "x"\n', "1:10", '"x" is not a table', "write [models.NAME]"),
        ('[agents]\nmodel = "demo"\n', "2:9", "agents are named tables", "write [agents.NAME]"),
        ('[agents."a b"]\nmodel = "demo"\n', "1:9", '"a b" is not a name', "letters, digits, _ and -"),
        (f'[agents.a]\nmodel = "demo"\nname = "{"x" * 257}"\n', "3:8", "this text is too long", "256 characters"),
        ('[agents.a]\nmodel = "demo"\nname = ""\n', "3:8", "this text is empty", 'such as name = "Helper"'),
        ('[agents.a]\nmodel = "demo"\ntemperature = "hot"\n', "3:15", '"hot" is not a number', "temperature = 0.2"),
        ('[agents.a]\nmodel = "demo"\nmetadata = { a = 1 }\n', "3:18", "1 is not a text in quotes", "a text"),
        (f"{MODEL}images = 1\n", "3:10", "1 is not true or false", "true or false"),
        # keys
        ("[runtime]\ndatadir = 1\n", "2:1", "unknown key", "did you mean `data_dir`?"),
        ('[servr]\nhost = "x"\n', "1:2", "unknown key", "did you mean `server`?"),
        ("[server]\nquux = 1\n", "2:1", "unknown key", "server has host, port,"),
        ("[server]\nversion = 1\n", "2:1", "unknown key", "move `version` above the first [table]"),
        ('[models.gpt-4.1]\nprovider = "demo"\n', "1:9", "this key is missing", 'add provider = "openai"'),
        ('[models.a.b]\nprovider = "demo"\n[models.a]\nprovider = "demo"\n', "1:11", "unknown", '[models."a.b"]'),
        ("[tools.t]\ntimeout = 3\n", "1:8", "this key is missing", 'python = "tools/clock.py:current_time"'),
        # models
        ('[models.m]\nprovider = "openai"\n', "1:9", "this key is missing", "the provider's name for it"),
        ('[models.m]\nprovider = "azure"\nmodel = "x"\n', "1:9", 'provider "azure" needs a base_url', "azure.com"),
        (f'{MODEL}api_key = "x"\n', "3:1", 'a model of provider "demo" has no use for it', "openai, azure,"),
        ('[models.m]\nprovider = "ollama"\nmodel = "x"\ndelay = 1\n', "4:1", "has no use for it", "it is for demo"),
        (f'{MODEL}fallbacks = ["n"]\n[models.nn]\nprovider = "demo"\n', "3:14", 'no model "n"', 'mean "nn"?'),
        # tools
        ('[tools.t]\npython = "x.py"\n', "2:10", '"x.py" names no function', "FILE.py:FUNCTION"),
        ('[tools.t]\npython = "x.py:f"\n', "2:10", "there is no file", "starts at the folder"),
        ('[tools.t]\npython = "good.py:loook"\n', "2:10", "good.py has no function loook", 'mean "look"?'),
        ('[tools.t]\npython = "good.py:zzz"\n', "2:10", "good.py has no function zzz", "it has Seek and look"),
        ('[tools.t]\npython = "bad.py:f"\n', "2:10", "bad.py line 1 is not Python", "invalid syntax"),
        ('[tools.file_search]\npython = "good.py:look"\n', "1:8", "belongs to the hosted tool", "another name"),
        ('[tools.t]\npython = "a:b"\noptions = { day = 2026-01-01 }\n', "3:19", "2026-01-01 cannot stand", "JSON"),
        # agents
        ('[agents.a]\nname = "A"\n', "1:9", "this key is missing", 'add model = "demo"'),
        (f'{MODEL}[agents.a]\nmodel = "dmo"\n', "4:9", 'there is no model "dmo"', 'did you mean "demo"?'),
        ('[agents.a]\nmodel = "demo"\ntools = ["x"]\n', "3:10", 'there is no tool "x"', "[tools.x]"),
        (
            '[agents.a]\nmodel = "demo"\ntools = ["file_search", "file_search"]\n',
            "3:25",
            '"file_search" stands in the list twice',
            "take one out",
        ),
        ('[agents.a]\nmodel = "demo"\ntool_choice = "x"\n', "3:15", 'the agent has no tool "x"', "auto, none or"),
        ('[agents.a]\nmodel = "demo"\ninstructions_file = "a.md"\n', "3:21", "there is no file", "starts at the"),
        ('[agents.a]\nmodel = "demo"\nresponse_format = "jsn"\n', "3:19", '"jsn" is none of', '"json_object"'),
        ('[agents.a]\nmodel = "demo"\nresponse_format = {}\n', "3:19", "not one response format", "json_schema"),
        (
            '[agents.a]\nmodel = "demo"\nresponse_format = { file = "good.py" }\n',
            "3:19",
            "good.py is not JSON",
            "a JSON Schema",
        ),
        (
            '[agents.a]\nmodel = "demo"\nresponse_format = { json_schema = { name = "a b", schema = {} } }\n',
            "3:19",
            "json_schema needs a name and a schema",
            "name =",
        ),
        (
            '[agents.a]\nmodel = "demo"\ntruncation_strategy = { type = "last_messages" }\n',
            "3:23",
            "`last_messages` goes with type last_messages",
            "last_messages = 20",
        ),
        (
            '[agents.a]\nmodel = "demo"\n[agents.b]\nmodel = "demo"\nid = "asst_a"\n',
            "5:1",
            'agent "a" has the id "asst_a" as well',
            "its own id",
        ),
        ('[agents.a]\nmodel = "demo"\nid = "asst a"\n', "3:6", '"asst a" is not a name', "letters, digits"),
        ('[agents.a]\nextends = "b"\n', "2:11", 'there is no agent "b"', "there are"),
        # schedules
        (f"{SCHEDULE}cron = '0 25 * * *'", "4:8", '"25" is no hour', "0 to 23"),
        (f"{SCHEDULE}cron = '0 9 * * *'\ntimezone = 'Oslo'", "5:12", '"Oslo" is no time zone', '"Europe/Oslo"?'),
        (f"{SCHEDULE}cron = '0 9'\ntimezone = 'Oslo'", "4:8", "this has 2 fields", "minute, hour"),
        (f"{SCHEDULE}", "1:12", "this key is missing", 'add cron = "0 9 * * mon-fri"'),
        (f"{SCHEDULE}cron = '0 9 * * *'\nthread = 'old'", "5:10", '"old" is not a thread', '"new", "same"'),
        (f"{SCHEDULE}cron = '0 9 * * *'\ncatch_up = '5s'", "5:12", "too small", "at least 60"),
        (
            f"{SCHEDULE}cron = '0 9 * * *'".replace('"helper"', '"helpr"'),
            "2:9",
            'there is no agent "helpr"',
            'did you mean "helper"?',
        ),
        ('[runtime]\nretention = { events = "soon" }\n', "2:24", '"soon" is not a period', '"forever"'),
        ('[runtime]\nretention = { event = "1d" }\n', "2:15", "unknown key", "did you mean `events`?"),
        # the service
        ('[runtime]\ndefault_agent = "helpr"\n', "2:17", 'there is no agent "helpr"', 'did you mean "helper"?'),
        ('[[server.keys]]\nname = "a"\n', "1:1", "a key needs one of `key` and `hash`", "agentrt keys create"),
        ('[[server.keys]]\nname = "a"\nhash = "abc"\n', "3:8", "the value is not a hash", "64 small hex digits"),
        # includes
        ('include = ["more.toml"]\n', "1:12", 'there is no file "more.toml"', "paths start at"),
    ],
)
def test_each_problem_names_place_reason_and_remedy(
    project: ProjectFolder, text: str, where: str, what: str, fix: str
) -> None:
    project.write("good.py", "import os as _os\nclass Seek: ...\nasync def look() -> None: ...\n_x: int = 1\n")
    project.write("bad.py", "def f(:\n")
    problems = [problem for problem in project.problems(text) if problem.startswith(f"agents.toml:{where}: ")]
    assert len(problems) == 1, project.problems(text)
    first, *_, last = problems[0].splitlines()
    assert what in first
    assert last.startswith("  fix: ")
    assert fix in last


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[runtime]\ntelemetry = { record_content = false }\n", "runtime.telemetry"),
        ("[server]\nui = true\n", "server.ui"),
        ("[server]\nmcp = false\n", "server.mcp"),
        ('[[server.keys]]\nname = "a"\nkey = "0123456789abcdef"\nscopes = []\n', "server.keys[0].scopes"),
        ('[[server.keys]]\nname = "a"\nkey = "0123456789abcdef"\nlimits = {}\n', "server.keys[0].limits"),
        ('[tools.t]\npython = "a:b"\napproval = "ask"\n', "tools.t.approval"),
        ('[tools.t]\npython = "a:b"\napprove_when = "x"\n', "tools.t.approve_when"),
        ('[tools.t]\npython = "a:b"\nenv = []\n', "tools.t.env"),
        ('[tools.t]\npython = "a:b"\nrun_in = "process"\n', "tools.t.run_in"),
        ('[tools.t]\npython = "a:b"\nmcp = {}\n', "tools.t.mcp"),
        ('[agents.a]\nmodel = "demo"\nhandoffs = []\n', "agents.a.handoffs"),
        ('[agents.a]\nmodel = "demo"\nlimits.usd_per_run = 1.0\n', "agents.a.limits.usd_per_run"),
    ],
)
def test_what_a_later_release_will_have_is_refused_by_name(project: ProjectFolder, text: str, key: str) -> None:
    assert f"{key}: not available in this release\n" in project.problem(text)


def test_an_agents_sandbox_must_be_there(project: ProjectFolder) -> None:
    text = '[sandboxes.science]\nmemory = "1GB"\n[agents.a]\nmodel = "demo"\nsandbox = "sience"\n'
    problem = project.problem(text)
    assert 'agents.a.sandbox: there is no sandbox "sience"' in problem
    assert 'did you mean "science"?' in problem
    assert project.load(text.replace("sience", "python")).agents["a"].sandbox == "python"


def test_a_provider_of_a_later_release_is_refused_by_name(project: ProjectFolder) -> None:
    problem = project.problem('[models.m]\nprovider = "anthropic"\nmodel = "x"\n')
    assert 'provider "anthropic" is not available in this release' in problem


def test_a_misspelt_key_that_is_needed_is_one_problem_not_two(project: ProjectFolder) -> None:
    assert "did you mean `provider`?" in project.problem('[models.m]\nprovidr = "demo"\n')
    assert "did you mean `python`?" in project.problem('[tools.t]\npyton = "x"\n')


def test_names_of_broken_tables_count_as_defined(project: ProjectFolder) -> None:
    problem = project.problem('[models.m]\nprovider = 1\n[agents.a]\nmodel = "m"\n[agents.b]\nextends = "a"\n')
    assert "models.m.provider" in problem


@pytest.mark.parametrize("names", ["a", "ab", "abc"])
def test_fallbacks_that_lead_back_are_a_circle(project: ProjectFolder, names: str) -> None:
    tables = [
        f'[models.{name}]\nprovider = "demo"\nfallbacks = ["{names[(index + 1) % len(names)]}"]\n'
        for index, name in enumerate(names)
    ]
    circle = " → ".join([*names, names[0]])
    assert f"the fallbacks go round in a circle: {circle}\n" in project.problem("".join(tables))


def test_agents_that_extend_each_other_are_a_circle(project: ProjectFolder) -> None:
    problem = project.problem('[agents.x]\nextends="a"\n[agents.a]\nextends = "b"\n[agents.b]\nextends = "a"\n')
    assert "the agents extend each other: x → a → b → a\n" in problem


def test_both_kinds_of_instructions_are_one_too_many(project: ProjectFolder) -> None:
    project.write("a.md", "x")
    problem = project.problem('[agents.a]\nmodel = "demo"\ninstructions = "x"\ninstructions_file = "a.md"\n')
    assert "agents.a.instructions_file: `instructions` is there as well" in problem


def test_what_two_files_define_names_both_places(project: ProjectFolder) -> None:
    project.write("more.toml", f"[server]\nport = 2\n{MODEL}")
    problems = project.problems(f'include = ["more.toml"]\n[server]\nport = 1\n{MODEL}')
    assert problems[0].startswith("more.toml:2:1: server.port: this is defined in agents.toml:3:1 as well\n")
    assert problems[1].startswith("more.toml:3:9: models.m: this is defined in agents.toml:4:9 as well\n")


def test_an_included_file_includes_no_other(project: ProjectFolder) -> None:
    project.write("more.toml", 'include = ["x.toml"]\n')
    assert "an included file cannot include others" in project.problem('include = ["more.toml"]\n')


def test_api_keys_need_names_and_secrets_of_their_own(project: ProjectFolder) -> None:
    problems = project.problems(
        '[[server.keys]]\nname = "a"\nkey = "${K}"\n'
        '[[server.keys]]\nname = "a"\nkey = "${L}"\n'
        '[[server.keys]]\nname = "b"\nkey = "${K}"\n',
        {"K": "k" * 20, "L": "l" * 20},
    )
    assert 'another key is called "a"' in problems[0]
    assert '"a" is the same key' in problems[1]


class TestVariables:
    def test_one_that_is_not_set_is_an_error_at_its_place(self, project: ProjectFolder) -> None:
        problem = project.problem('[server]\nhost = "${HOST}"\n')
        assert problem.startswith("agents.toml:2:8: server.host: HOST is not set\n")
        assert problem.endswith("fix: export HOST=…, or write ${HOST:-default}")

    @pytest.mark.parametrize("written", ["${", "${A", "${1}", "${}", "${A:-${B}}", "${A-b}"])
    def test_what_looks_like_one_and_is_none_is_an_error(self, project: ProjectFolder, written: str) -> None:
        problem = project.problem(f'[server]\nhost = "x{written}"\n', {"B": "b"})
        assert "is no variable" in problem
        assert "a literal ${ is written $${" in problem

    def test_text_for_a_number_is_an_error_in_the_numbers_words(self, project: ProjectFolder) -> None:
        assert '"many" is not a whole number' in project.problem('[server]\nport = "${P}"\n', {"P": "many"})

    def test_an_overriding_one_is_named_as_the_place(self, project: ProjectFolder) -> None:
        problems = project.problems("", {"AGENTRT__SERVER__PORT": "x", "AGENTRT__SERVER__PROT": "1"})
        assert problems[0].startswith('AGENTRT__SERVER__PORT (environment): server.port: "x" is not a whole number')
        assert problems[1].startswith("AGENTRT__SERVER__PROT (environment): server.prot: unknown key")

    def test_an_overriding_one_cannot_reach_into_a_list(self, project: ProjectFolder) -> None:
        problem = project.problem('[server]\ncors = ["*"]\n', {"AGENTRT__SERVER__CORS__0": "x"})
        assert "this is none" in problem


class TestFilesThatAreNotRead:
    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none\.toml: no such file or directory\n  fix: name a file"):
            load_config(tmp_path / "none.toml", environ={})

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="is a directory"):
            load_config(tmp_path, environ={})

    def test_a_file_that_is_not_utf_8_says_where(self, project: ProjectFolder) -> None:
        (project.folder / "agents.toml").write_bytes(b'a = "\xe9"\n')
        with pytest.raises(ConfigError, match="not UTF-8 \\(byte 5\\)"):
            project.load()

    @pytest.mark.parametrize(
        "text",
        [
            'version = 1\nagents = ["claude"]\n',
            '[[skills]]\nname = "x"\nsource = "y"\n',
            "version = 1\n[trust]\nallow_all = true\n",
        ],
    )
    def test_a_file_of_dotagents_is_recognised(self, project: ProjectFolder, text: str) -> None:
        problem = project.problem(text)
        assert "Sentry's dotagents" in problem
        for way_out in ("--config", "AGENTRT_CONFIG", "agentrt.toml"):
            assert way_out in problem


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(project: ProjectFolder) -> None:
    (project.folder / "agents.toml").write_bytes(b'\xef\xbb\xbf[server]\r\nport = "x"\r\n')
    with pytest.raises(ConfigError, match=r"agents\.toml:2:8: server\.port"):
        project.load()


def test_a_long_line_is_shown_around_its_caret(project: ProjectFolder) -> None:
    items = ", ".join(f'"http://host{number}"' for number in range(30))
    problem = project.problem(f"[server]\ncors = [{items}, 5]\n")
    line, caret = problem.splitlines()[1:3]
    assert len(line) < 130
    assert line[caret.index("^")] == "5"


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(project: ProjectFolder) -> None:
    text = '[models.m]\nprovider = "openai"\nmodel = "x"\napi_key = "${KEY}"\n'
    problem = project.problem(text, {"KEY": "sk-…copied"})
    assert "models.m.api_key: it has characters that an HTTP header cannot carry" in problem
    assert "copied" not in problem
