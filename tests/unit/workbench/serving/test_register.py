"""The notebook sessions that are open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workbench.serving.people import person
from workbench.people.principal import Principal
from workbench.serving.register import Caps, Entry, Line, Register, Visit, Why, room_for
from workbench.serving.visitors import Visitor

PERSONS = [person("a@x", tenant_id="acme"), person("b@x", tenant_id="acme"), person("c@x", tenant_id="globex")]
CAPS = Caps(user=2, tenant=3, server=4)


class FakeKernels:
    """Kernels that run until they are closed."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.closed: list[str] = []

    def alive(self, notebook: str, session: str) -> bool:
        assert notebook == "overview"
        return session in self.running

    def close(self, notebook: str, session: str) -> None:
        assert notebook == "overview"
        self.running.discard(session)
        self.closed.append(session)


class World:
    """A register with kernels and a clock of its own."""

    def __init__(self, caps: Caps = CAPS) -> None:
        self.kernels = FakeKernels()
        self.now = 0.0
        self.register = Register(self.kernels, caps, lambda: self.now)

    def open(self, session: str, who: Principal = PERSONS[0]) -> Line | Why:
        opened = self.register.open(session, visit(who))
        if isinstance(opened, Line):
            self.kernels.running.add(session)
        return opened

    def must_open(self, session: str, who: Principal = PERSONS[0]) -> Line:
        opened = self.open(session, who)
        assert isinstance(opened, Line)
        return opened


def visit(who: Principal = PERSONS[0], sign_in: str | None = None) -> Visit:
    visitor = Visitor(principal=who, sign_in=sign_in or who.email, token=f"token of {who.email}")
    return Visit(visitor=visitor, tenant_id=who.tenant_id, notebook="overview")


def test_a_person_may_have_so_many_and_comes_back_to_each() -> None:
    world = World()
    first = world.must_open("1")
    world.must_open("2")
    assert world.open("3") is Why.USER_IS_FULL
    assert world.register.refusal(visit()) is Why.USER_IS_FULL
    world.register.leave("1", first)
    world.must_open("1")
    assert (len(world.register), world.register.lines) == (2, 2)


def test_a_session_without_a_browser_makes_room_the_longest_unused_first() -> None:
    world = World()
    lines = {session: world.must_open(session) for session in ("1", "2")}
    for session, line in lines.items():
        world.register.leave(session, line)
    world.now = 5
    assert world.register.use("1")
    assert world.register.refusal(visit()) is None
    world.must_open("3")
    assert world.kernels.closed == ["2"]


def test_a_tenant_and_the_server_may_have_so_many() -> None:
    world = World(Caps(user=9, tenant=3, server=4))
    for session in ("1", "2", "3"):
        world.must_open(session, PERSONS[int(session) % 2])
    assert world.open("4", PERSONS[1]) is Why.TENANT_IS_FULL
    world.must_open("5", PERSONS[2])
    assert world.open("6", PERSONS[2]) is Why.SERVER_IS_FULL


def test_a_session_that_marimo_has_ended_counts_no_more() -> None:
    world = World()
    for session in ("1", "2"):
        world.register.leave(session, world.must_open(session))
    world.kernels.running.clear()
    assert world.register.refusal(visit()) is None
    assert len(world.register) == 0
    assert world.register.use("1") is False


def test_ending_tells_each_browser_why_and_closes_the_kernel() -> None:
    world = World()
    one, two = world.must_open("1"), world.must_open("1")
    assert world.register.end(world.register.of("a@x"), Why.SIGNED_OUT) == 1
    assert one.why is two.why is Why.SIGNED_OUT
    assert one.ended.is_set()
    assert world.kernels.closed == ["1"]
    assert world.register.end(world.register.of("a@x"), Why.SIGNED_OUT) == 0
    one.end(Why.IDLE)
    assert one.why is Why.SIGNED_OUT


def test_what_is_used_is_not_idle() -> None:
    world = World()
    world.must_open("1")
    world.must_open("2")
    world.now = 50
    world.register.use("2")
    world.now = 60
    assert [entry.session for entry in world.register.idle(60)] == ["1"]


ENTRIES = st.lists(
    st.builds(
        lambda number, who, used, connected: Entry(
            session=str(number), visit=visit(PERSONS[who]), used_at=used, lines={Line()} if connected else set()
        ),
        st.integers(),
        st.integers(0, 2),
        st.floats(0, 9),
        st.booleans(),
    ),
    max_size=9,
)


@given(ENTRIES, st.integers(0, 2))
def test_room_is_made_within_all_caps_and_never_by_ending_what_somebody_looks_at(
    entries: list[Entry], who: int
) -> None:
    plan = room_for(entries, visit(PERSONS[who]), CAPS)
    person, tenant = PERSONS[who].user_id, PERSONS[who].tenant_id
    looked_at = [entry for entry in entries if entry.lines]

    def counts(some: list[Entry]) -> tuple[int, int, int]:
        mine = sum(1 for e in some if e.visit.visitor.principal.user_id == person)
        return mine, sum(1 for e in some if e.visit.tenant_id == tenant), len(some)

    if isinstance(plan, Why):
        assert any(count >= cap for count, cap in zip(counts(looked_at), (2, 3, 4), strict=True))
    else:
        assert not any(entry.lines for entry in plan)
        left = [entry for entry in entries if entry not in plan]
        assert all(count < cap for count, cap in zip(counts(left), (2, 3, 4), strict=True))
