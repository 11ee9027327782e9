"""The queue of events between the stream and its listener."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gapcast.http.routes.event_readers import EventReaders
from gapcast.service.reports.event_feed import DeviceEvent, EventFeed, FeedEvent
from gapcast.service.service import Service
from tests.support.houses import ensemble_engine
from tests.support.links import MemoryLink


class StoppingFeed(EventFeed):
    """A feed that calls ``before_put`` after it has seen a listener, and before it queues."""

    before_put: Callable[[], object] = list

    def _put(self, event: FeedEvent, n: int) -> None:
        self.before_put()
        super()._put(event, n)


def test_feed_wakes_a_listener_after_one_that_has_ended() -> None:
    """A listener ends without notice if an error ends the HTTP server."""
    feed, woken = EventFeed(), list[str]()
    feed.listen(lambda: woken.append("first"))
    feed.publish_event("device", "home", {"n": 1})
    feed.listen(lambda: woken.append("second"))
    feed.publish_event("device", "home", {"n": 2})
    assert woken == ["first", "second"]
    assert feed.drain() == ([DeviceEvent("device", "home", {"n": 2})], False)


def test_feed_wakes_a_listener_after_one_that_stopped_meanwhile() -> None:
    feed, woken = StoppingFeed(), list[str]()
    feed.listen(lambda: woken.append("first"))
    feed.before_put = feed.stop_listening
    feed.publish_event("device", "home", {"n": 1})
    feed.before_put = list
    assert feed.drain() == ([], False)
    feed.listen(lambda: woken.append("second"))
    feed.publish_event("device", "home", {"n": 2})
    assert woken == ["second"]


def test_feed_of_readers_whose_loop_is_closed_does_not_raise() -> None:
    engine = ensemble_engine()
    service = Service(MemoryLink(), engine, {engine.model.name: engine.model})

    async def enter() -> None:
        EventReaders(service, 1, 1).enter("client")

    asyncio.run(enter())
    service.feed.publish_event("device", "home", {})
    assert service.feed.drain() == ([DeviceEvent("device", "home", {})], False)
