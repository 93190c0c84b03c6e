"""What a module's abuses did altogether: to the variables of their sandbox, to the one beside it, to this process."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sandbox.items import Item
from tests.sandbox.sessions import KEPT, Session, resident_bytes

MAX_GROWTH_BYTES = 50 * 1024**2


@dataclass
class Ledger:
    """lost: the items after which the variables were gone, and how."""

    neighbour: Session
    before_bytes: int
    lost: list[str] = field(default_factory=list)
    n_items: int = 0

    @classmethod
    async def begin(cls, neighbour: Session) -> Ledger:
        await neighbour.run("n_asked = 0")
        return cls(neighbour, resident_bytes())

    async def check(self, session: Session, item: Item) -> None:
        """Variables that are gone are noted and put back: each item counts by itself."""
        self.n_items += 1
        ran = await session.run(KEPT, timeout_s=5)
        if ran.end.status != "ok" or ran.end.result != "42":
            self.lost.append(f"{item.name}: {ran.end.status}, {ran.end.state}, {ran.said[-200:]!r}")
            await session.kernel.reset()
            assert (await session.run(f"{KEPT} = 42")).end.status == "ok"
        await self.neighbour.run("n_asked += 1")

    async def check_others(self) -> None:
        """The one beside has heard every question; this process is as large as before."""
        assert int(await self.neighbour.value("n_asked")) == self.n_items
        assert resident_bytes() - self.before_bytes < MAX_GROWTH_BYTES

    def check_kept(self) -> None:
        assert len(self.lost) <= self.n_items / 10, "\n".join(self.lost)
