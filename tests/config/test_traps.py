"""TOML's traps are named in words, at their line."""

from __future__ import annotations

import pytest

from tests.config.conftest import ProjectFolder


@pytest.mark.parametrize(
    ("text", "where", "what", "fix"),
    [
        ("limits = {\n  rpm = 1 }\n", "1:11", "must stand on one line", "write it as a [table]"),
        ("limits = { rpm = 1,\n  tpm = 1 }\n", "1:20", "must stand on one line", "write it as a [table]"),
        ("limits = { rpm = 1\n}\n", "1:19", "must stand on one line", "write it as a [table]"),
        ("limits = { rpm = 1, }\n", "1:21", "a comma before the closing }", "take the last comma out"),
        ("limits = { rpm = 1 tpm = 2 }\n", "1:20", "not closed, or a comma is missing", "key = value, other"),
        ("limits = { rpm = 1, rpm = 2 }\n", "1:28", "stands twice in the inline table", "keep one"),
        ("model = gpt-4o\n", "1:9", "this value needs quotes", 'write model = "…"'),
        ("images = True\n", "1:10", "not a TOML boolean", "write true"),
        ("images = no\n", "1:10", "not a TOML boolean", "write false"),
        ("model = null\n", "1:9", "TOML has no null", "leave the key out"),
        ("model = \n", "1:9", "the value of `model` is missing", "take the line out"),
        ("model = “x”\n", "1:9", "typographic quotes", "plain quotes"),
        ("port = ${PORT}\n", "1:8", "a variable must stand inside a text", 'write port = "${…}"'),
        ("port = 8700,\n", "1:12", "no comma at the end of a line", "take the comma out"),
        ("timeout = 60s\n", "1:13", "something follows the value", 'timeout = "…"'),
        ("port: 8700\n", "1:5", "joined by =, not by a colon", "key = value"),
        ("- port = 8700\n", "1:3", "TOML has no list lines", "key = ["),
        ("max steps = 5\n", "1:5", "neither `key = value` nor `[table]`", "needs quotes"),
        ('name = "a\nb"\n', "1:10", "must end on its line", '"""…"""'),
        ('path = "C:\\Users"\n', "1:13", "a backslash", "single quotes"),
        ('path = "C:\\work"\n', "1:13", "a backslash", "single quotes"),
        ("cors = [1, 2\nport = 3\n", "2:1", "an array is not closed", "[ first, second ]"),
        ('name = """a\n', "1:11", "a text is not closed", "without its partner"),
        ("name = '''a\n", "1:11", "a text is not closed", "without its partner"),
        ("[server\nport = 1\n", "1:8", "header is not closed", "[[table]]"),
        ("[server]\nport = 1\nhost = 'x'\nport = 2\n", "4:9", "server.port is defined twice, first on line 2", ""),
        ("[server]\n[runtime]\n[server]\n", "3:8", "server is defined twice, first on line 1", "merge them"),
        ("server.port = 1\n[server]\nhost = 'x'\n", "2:8", "server is defined twice, first on line 1", ""),
        ("server = {}\n[server.limits]\n", "2:15", "defined twice", ""),
        ("[server]\n[[server]]\n", "2:9", "already has a value above", "keep one of the two"),
        ("= 1\n", "1:1", "invalid statement", ""),
    ],
)
def test_a_trap_is_named_with_its_place_and_a_way_out(
    project: ProjectFolder, text: str, where: str, what: str, fix: str
) -> None:
    problem = project.problem(text)
    assert problem.startswith(f"agents.toml:{where}: "), problem
    assert what in problem.splitlines()[0]
    assert fix in problem.splitlines()[-1]


def test_the_syntax_of_every_included_file_is_checked(project: ProjectFolder) -> None:
    project.write("d/a.toml", "a = True\n")
    project.write("d/b.toml", "b = None\n")
    problems = project.problems('include = ["d/*.toml"]\n')
    assert [problem.partition(":")[0] for problem in problems] == ["d/a.toml", "d/b.toml"]
