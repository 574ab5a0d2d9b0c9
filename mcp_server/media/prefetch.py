"""Work done before its result is asked for, by a thread of its own."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TypeVar

_Item = TypeVar("_Item")


def prefetched(items: Iterable[_Item], most: int) -> Generator[_Item]:
    """The same items in their order, so many at a time, the one taken last among them; errors come in their place.

    Closed early it waits for the thread, which ends after the item it is at: what the items are made from may go then.
    """
    ready: SimpleQueue[tuple[_Item] | BaseException | None] = SimpleQueue()
    room, left = Semaphore(most - 1), False

    def fill() -> None:
        try:
            for item in items:
                ready.put((item,))
                room.acquire()
                if left:
                    return
            ready.put(None)
        except BaseException as error:
            ready.put(error)

    thread = Thread(target=fill, daemon=True)
    thread.start()
    try:
        while (made := ready.get()) is not None:
            if isinstance(made, BaseException):
                raise made
            yield made[0]
            room.release()
    finally:
        left = True
        room.release()
        thread.join()
        if isinstance(items, Generator):
            items.close()
