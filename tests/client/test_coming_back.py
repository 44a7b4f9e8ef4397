"""Which ends bring a client back, and when."""

from __future__ import annotations

from random import Random

import pytest
from client_sessions import SessionWorld, hello_document

from pode_signals.client.comebacks import Comebacks, End
from pode_signals.client.events import Closed, Opened
from pode_signals.client.session import State
from pode_signals.client.websocket import retry_after_seconds


def after(code: int, **options: bool) -> SessionWorld:
    """A client whose connection was open for a minute, and ended with a code."""
    world = SessionWorld(**options).opened()
    world.now += 61
    return world.ends(code, reason="so")


@pytest.mark.parametrize(
    "code", [1001, 1004, 1005, 1006, 1008, 1011, 1012, 1013, 1014, 1015, 3000, 3001, 3499, 4008, 1016, 2999]
)
def test_ends_that_bring_a_client_back(code: int) -> None:
    """P86: after these codes a client comes back."""
    world = after(code)
    assert world.session.state is State.WAITING
    assert world.comes_back(recovered=True).data() == [Opened, Opened]


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1009, 1010, 3500, 3999, 4000, 4007, 4400, 4402, 4408, 4999])
def test_ends_that_are_final(code: int) -> None:
    """P86: after these codes a client does not come back, and says so at last."""
    world = after(code)
    assert world.closed == Closed(code, "so")
    assert world.events()[-1] == Closed(code, "so")
    assert world.session.due() is None


class TestExpired:
    def test_credentials_that_can_not_be_renewed(self) -> None:
        """P86: a connection that expires is final where the client has one URL and no function that renews."""
        assert after(4401).closed == Closed(4401, "so")

    def test_once(self) -> None:
        """P86: a client that can renew its credentials comes back once; a second 4401 within 60 seconds is final."""
        world = after(4401, can_renew=True)
        assert world.closed is None
        world.comes_back(recovered=True).passes(59).ends(4401)
        assert world.closed == Closed(4401)

    def test_after_another_end(self) -> None:
        """P86: an end of another kind in between does not make a second 4401 the first one."""
        world = after(4401, can_renew=True).comes_back(recovered=True).ends().comes_back(recovered=True).ends(4401)
        assert world.closed == Closed(4401)

    def test_after_a_minute(self) -> None:
        """P86: a 4401 after a connection that was open for 60 seconds is a first one again."""
        world = after(4401, can_renew=True).comes_back(recovered=True)
        world.now += 60
        assert world.ends(4401).closed is None


class TestReplaced:
    def test_once(self) -> None:
        """P86: a client whose place another one has taken comes back within 5 seconds."""
        waits = []
        for seed in range(40):
            world = SessionWorld(seed=seed).opened().ends(4409)
            waits.append(world.waits_seconds)
        assert 0 <= min(waits) < 1
        assert 4 < max(waits) <= 5

    def test_twice(self) -> None:
        """P86: a second time within 60 seconds is final, or two clients would take each other's place for ever."""
        world = SessionWorld().opened().ends(4409).comes_back(recovered=True).ends(4409)
        assert world.closed == Closed(4409)

    def test_much_later(self) -> None:
        """P86: a second time after more than 60 seconds is a first one again."""
        world = SessionWorld().opened().ends(4409).comes_back(recovered=True)
        world.now += 61
        assert world.ends(4409).closed is None


class TestBackoff:
    def bounds(self, world_of: list[SessionWorld]) -> float:
        """The longest wait of many clients."""
        return max(world.waits_seconds for world in world_of)

    def test_it_grows_and_is_capped(self) -> None:
        """P87: the bound of a wait doubles with each failure, from 1 to 30 seconds."""
        worlds = [SessionWorld(seed=seed).start() for seed in range(200)]
        bounds = []
        for _ in range(8):
            for world in worlds:
                world.ends()
            bounds.append(self.bounds(worlds))
            for world in worlds:
                world.passes(world.waits_seconds)
        assert [bound <= limit for bound, limit in zip(bounds, [1, 2, 4, 8, 16, 30, 30, 30], strict=True)] == [True] * 8
        assert [bound > limit * 0.9 for bound, limit in zip(bounds, [1, 2, 4, 8, 16, 30, 30, 30], strict=True)] == [
            True
        ] * 8

    @pytest.mark.parametrize(("open_seconds", "limit"), [(9, 2), (10, 1)])
    def test_it_begins_anew_after_a_good_connection(self, open_seconds: float, limit: float) -> None:
        """P87: a connection that was open for 10 seconds was a good one, and the next wait is short again."""
        worlds = [SessionWorld(seed=seed).start().ends().comes_back() for seed in range(200)]
        for world in worlds:
            world.now += open_seconds
            world.ends()
        assert limit * 0.9 < self.bounds(worlds) <= limit

    def test_it_grows_after_1008(self) -> None:
        """P86: a client that sent too much waits longer each time, however long it was open."""
        worlds = [SessionWorld(seed=seed).opened() for seed in range(200)]
        for limit in (2, 8, 30):
            for world in worlds:
                world.now += 100
                world.ends(1008)
            assert limit * 0.9 < self.bounds(worlds) <= limit
            for world in worlds:
                world.comes_back(recovered=True)

    def test_many_failures(self) -> None:
        """P87: however often an attempt fails, the next wait can be computed."""
        comebacks = Comebacks(1, 30, False, Random(1))
        assert all(0 <= (comebacks.seconds_after(End(1006), None, 0) or 0) <= 30 for _ in range(2_000))

    def test_clients_that_were_cut_together(self) -> None:
        """P87: 1,000 clients that are cut off in one moment come back uniformly within the first second."""
        cells = [0] * 20
        for seed in range(1_000):
            world = SessionWorld(seed=seed).opened()
            world.now += 60
            cells[int(world.ends().waits_seconds * 20)] += 1
        # Chi-square with 19 degrees of freedom passes 43.8 with a probability of 0.001.
        assert sum((cell - 50) ** 2 / 50 for cell in cells) < 43.8


class TestRefusedHandshakes:
    @pytest.mark.parametrize("status", [401, 403, 404, 410])
    def test_final_ones(self, status: int) -> None:
        """P88: these refusals are final, and the status is told."""
        world = SessionWorld().start().ends(status=status)
        assert world.closed == Closed(1006, "", status)
        assert world.events() == [Closed(1006, "", status)]

    @pytest.mark.parametrize("status", [409, 429, 503])
    def test_those_that_ask_to_wait(self, status: int) -> None:
        """P88: after these refusals a client waits for at least Retry-After, and not all clients for equally long."""
        waits = {
            SessionWorld(seed=seed).start().ends(status=status, retry_after_seconds=100).waits_seconds
            for seed in range(20)
        }
        assert 100 <= min(waits) < max(waits) <= 101
        assert len(waits) == 20

    @pytest.mark.parametrize("status", [400, 426, 500, 502, 302, 200])
    def test_others(self, status: int) -> None:
        """P88: after each other answer a client goes on with its backoff."""
        world = SessionWorld().start().ends(status=status, retry_after_seconds=100)
        assert world.closed is None
        assert world.waits_seconds <= 1

    @pytest.mark.parametrize(
        ("value", "date", "expected"),
        [
            ("120", "", 120),
            ("0", "", 0),
            ("99999999999", "", 86_400),
            ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30),
            ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:29:00 GMT", 0),
            ("Wed, 21 Oct 2099 07:28:30 GMT", "Wed, 21 Oct 2015 07:29:00 GMT", 86_400),
            ("Wed, 21 Oct 2015 07:28:30 GMT", "", 0),
            ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00", 0),
            ("soon", "Wed, 21 Oct 2015 07:29:00 GMT", 0),
            ("-5", "", 0),
            ("²", "", 0),
            ("", "", 0),
        ],
    )
    def test_retry_after(self, value: str, date: str, expected: float) -> None:
        """P88: Retry-After is seconds, or a date by the server's own clock; it counts up to a day."""
        assert retry_after_seconds(value, date) == expected


class TestStopping:
    def test_an_open_client(self) -> None:
        """P86: a client that is stopped closes with 1000, and is closed when its connection has ended."""
        world = SessionWorld().opened().close()
        assert (world.closes, world.closed) == ([1000], None)
        assert world.ends(1000).closed == Closed(1000)
        assert world.data() == [Opened, Closed]

    def test_a_server_that_does_not_answer(self) -> None:
        """P86: a connection that does not end by itself is dropped 5 seconds later."""
        world = SessionWorld().opened().close().passes(4.9)
        assert world.closed is None
        world.passes(0.1)
        assert (world.aborts, world.closed) == (1, Closed(1000))
        assert world.ends().events()[-1] == Closed(1000)

    def test_a_client_that_connects_or_waits(self) -> None:
        """P86: a client is stopped on its way to hello, and while it waits for its next attempt."""
        assert SessionWorld().start().close().ends().closed == Closed(1000)
        world = SessionWorld().opened().ends().close()
        assert (world.closed, world.session.due()) == (Closed(1000), None)

    def test_a_client_that_is_not_running(self) -> None:
        """P86: to stop a client twice, or one that was never started, does nothing."""
        assert SessionWorld().close().closed is None
        world = SessionWorld().opened().close().close().ends().close()
        assert (world.closes, world.data()) == ([1000], [Opened, Closed])

    def test_starting_again(self) -> None:
        """P60: a client that was stopped and is started again goes on where it was."""
        world = SessionWorld().opened().signal("one", 41).close().ends(1000)
        world.closed = None
        world.start().start().says(**hello_document(recovered=True, offset="41-7"))
        assert world.offers[-1][1].startswith("pode.resume.k3v9q2.41-7.")
        assert len(world.offers) == 2
        assert world.data() == [Opened, "one", Closed, Opened]

    def test_no_hello_in_time(self) -> None:
        """P67: an attempt that has no hello after 10 seconds is given up."""
        world = SessionWorld().start().passes(9.9)
        assert world.aborts == 0
        world.passes(0.1)
        assert (world.aborts, world.session.state) == (1, State.WAITING)
