"""Two processes on one PostgreSQL: whoever takes a thread's next run has its files, and nobody takes up an old sandbox
as if it were the present one (docs/decisions/0017)."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.conftest import Place
from tests.acceptance.test_code_is_cut_short import coder, says_next
from tests.compat.api import Api
from tests.compat.deployment import Deployment
from tests.compat.fixtures import Told

LOOK = "print('x' in globals(), open('a.txt').read())"


def test_files_go_along_and_variables_stay_with_the_process_that_had_them(
    deploy: Callable[..., Deployment],
    witnessed: Callable[[Deployment], str],
    real_python: Place,
    empty_postgres_url: str,
    told: Told,
) -> None:
    first = deploy(**real_python[1], database=empty_postgres_url)
    first.start()
    with Api(witnessed(first)) as api:
        actor, thread = coder(api), api.thread()
        says_next(api, thread, "x = 1\nopen('a.txt', 'w').write('A')", actor)
        assert says_next(api, thread, LOOK, actor) == "True A\n"
        second = deploy(beside=first)
        second.start()
        assert first.stop() == 0

    with Api(witnessed(second)) as api:
        assert says_next(api, thread, LOOK, actor) == "False A\n"
        assert "[This is a new session: variables and imports of earlier calls are gone" in told.last()[-1][1]
        says_next(api, thread, "x = 2\nopen('a.txt', 'w').write('B')", actor)
        assert says_next(api, thread, LOOK, actor) == "True B\n"
        first.start()
        second.kill()

    with Api(witnessed(first)) as api:
        # Where the driver can, it found its old sandbox again, with x = 1 and without B.
        assert says_next(api, thread, LOOK, actor) == "False B\n"
        assert says_next(api, thread, "x = 3", actor) == ""
        assert says_next(api, thread, LOOK, actor) == "True B\n"
    assert first.stop() == 0
