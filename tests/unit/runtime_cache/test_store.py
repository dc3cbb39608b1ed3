"""What the cache keeps, what it refuses, and what goes when there is no more room."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelcycle_runtime.cache.store import Disk, NotKept, Store, allowance, evicted

BIG = Disk(total=1 << 40, free=1 << 40)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Cache(Store):
    """A store of 1000 bytes on a disk that has room, and the number of its evictions."""

    def __init__(self, folder: Path, size: int = 1000, disk: Disk = BIG) -> None:
        self.evictions = 0
        super().__init__(folder, size, self._evicted, lambda _: disk)

    def _evicted(self) -> None:
        self.evictions += 1

    def add(self, content: bytes) -> str:
        digest = digest_of(content)
        self.keep(digest, len(content), iter([content]))
        return digest

    def has(self, digest: str) -> bool:
        found = self.open(digest)
        if found is None:
            return False
        found[0].close()
        return True

    def read(self, digest: str) -> bytes | None:
        found = self.open(digest)
        if found is None:
            return None
        with found[0] as content:
            return content.read()


@pytest.mark.parametrize(
    ("configured", "used", "disk", "allowed"),
    [
        pytest.param(10, 0, Disk(100, 100), 10, id="as configured"),
        pytest.param(90, 0, Disk(100, 100), 85, id="a small disk keeps its share"),
        pytest.param(90, 20, Disk(100, 30), 35, id="what others took is not ours to give back"),
        pytest.param(90, 20, Disk(100, 5), 10, id="a disk that gets full is given back some"),
        pytest.param(90, 5, Disk(100, 0), 0, id="nothing is left"),
    ],
)
def test_how_much_it_may_take(configured: int, used: int, disk: Disk, allowed: int) -> None:
    assert allowance(configured, used, disk) == allowed


@pytest.mark.parametrize(
    ("needed", "used", "limit", "gone"),
    [
        pytest.param(10, 60, 70, [], id="it fits"),
        pytest.param(11, 60, 70, ["old"], id="the least recently read goes"),
        pytest.param(31, 60, 70, ["old", "middle"], id="as many as have to"),
        pytest.param(70, 60, 70, ["old", "middle", "new"], id="all of them"),
        pytest.param(71, 60, 70, None, id="larger than the cache: nothing goes for nothing"),
        pytest.param(50, 90, 70, None, id="what is being received can't go"),
    ],
)
def test_who_makes_room(needed: int, used: int, limit: int, gone: list[str] | None) -> None:
    sizes = OrderedDict([("old", 10), ("middle", 20), ("new", 30)])
    assert evicted(sizes, used, needed, limit) == gone


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    digest = cache.add(b"weights")
    assert cache.read(digest) == b"weights"
    assert (cache.files, cache.used) == (1, 7)
    assert cache.read(digest_of(b"other")) is None


@pytest.mark.parametrize(
    ("content", "size"),
    [
        pytest.param(b"poison", 6, id="another content"),
        pytest.param(b"weight", 6, id="too short"),
        pytest.param(b"weights and more", 7, id="too long"),
    ],
)
def test_a_content_that_is_not_its_names_is_not_kept(tmp_path: Path, content: bytes, size: int) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(NotKept) as refusal:
        cache.keep(digest_of(b"weights"), size, iter([content]))
    assert refusal.value.reason == "digest"
    assert list(tmp_path.iterdir()) == []
    assert cache.files == 0


def test_what_was_not_read_for_longest_makes_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old, middle = cache.add(b"o" * 400), cache.add(b"m" * 400)
    assert cache.read(old) is not None
    new = cache.add(b"n" * 400)
    assert [cache.has(one) for one in (old, middle, new)] == [True, False, True]
    assert cache.evictions == 1
    assert cache.used == 800


def test_a_file_that_is_too_large_costs_the_others_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    kept = cache.add(b"k" * 400)
    with pytest.raises(NotKept) as refusal:
        cache.add(b"x" * 1001)
    assert refusal.value.reason == "room"
    assert cache.has(kept)


def test_a_full_disk_is_given_room_back(tmp_path: Path) -> None:
    Cache(tmp_path).add(b"k" * 400)
    full = Cache(tmp_path, disk=Disk(total=1000, free=0))
    with pytest.raises(NotKept, match="may hold 250 now"):
        full.add(b"x" * 300)


def test_a_file_that_is_being_read_can_go_without_harm(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    found = cache.open(cache.add(b"o" * 900))
    assert found is not None
    cache.add(b"n" * 900)
    with found[0] as content:
        assert content.read() == b"o" * 900


def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[bytes]:
        yield b"wei"
        raise ConnectionResetError

    cache = Cache(tmp_path)
    with pytest.raises(ConnectionResetError):
        cache.keep(digest_of(b"weights"), 7, breaks_off())
    assert list(tmp_path.iterdir()) == []
    cache.add(b"a" * 1000)
    assert cache.used == 1000, "the room was given back"


def test_a_second_copy_takes_the_place_of_one_that_rotted(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    digest = cache.add(b"weights")
    (tmp_path / digest).write_bytes(b"rotten!")
    cache.add(b"weights")
    assert cache.read(digest) == b"weights"
    assert (cache.files, cache.used) == (1, 7)


def test_after_a_restart_everything_is_there_in_the_same_order(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old, new = cache.add(b"o" * 400), cache.add(b"n" * 400)
    os.utime(tmp_path / old, (1, 1))
    (tmp_path / "deadbeef.part").write_bytes(b"of a crash")
    again = Cache(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([old, new])
    assert again.used == 800
    again.add(b"x" * 400)
    assert [again.has(one) for one in (old, new)] == [False, True]


def test_a_file_that_somebody_deleted_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    digest = cache.add(b"weights")
    (tmp_path / digest).unlink()
    assert not cache.has(digest)
    assert cache.files == 0
