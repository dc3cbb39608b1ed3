from __future__ import annotations

import os
from collections import Counter

import pytest

from modelcycle_runtime.serve.peers import Address, Peers, owner, parse_names

REPLICAS = [Address(f"10.0.0.{i}", 8080) for i in range(1, 5)]
IDS = [os.urandom(8) for _ in range(2000)]


def test_all_replicas_agree_on_the_owner() -> None:
    assert [owner(i, REPLICAS) for i in IDS] == [owner(i, REPLICAS[::-1]) for i in IDS]


def test_the_load_is_even() -> None:
    shares = Counter(owner(i, REPLICAS) for i in IDS)
    assert len(shares) == 4
    assert min(shares.values()) > 400


def test_a_replica_that_goes_moves_only_its_own_share() -> None:
    left = REPLICAS[1:]
    assert all(owner(i, left) == owner(i, REPLICAS) for i in IDS if owner(i, REPLICAS) in left)


def test_nobody_owns_anything_where_nobody_is() -> None:
    assert owner(b"12345678", []) is None


@pytest.mark.parametrize(
    ("peers", "names"),
    [
        pytest.param("", (), id="none"),
        pytest.param("hedge.ns.svc", (Address("hedge.ns.svc", 8080),), id="a Service"),
        pytest.param("127.0.0.1:1, 127.0.0.1:2", (Address("127.0.0.1", 1), Address("127.0.0.1", 2)), id="two ports"),
    ],
)
def test_names(peers: str, names: tuple[Address, ...]) -> None:
    assert parse_names(peers, 8080) == names


async def test_without_peers_everything_is_ones_own() -> None:
    assert await Peers((), 8080, "/").owners(IDS[:3]) == [None] * 3


async def test_ones_own_address_is_known_by_being_local() -> None:
    peers = Peers(parse_names("127.0.0.1:1,127.0.0.1:2", 8080), own_port=2, path="/")
    assert set(await peers.owners(IDS[:100])) == {None, Address("127.0.0.1", 1)}


async def test_a_name_that_can_not_be_resolved_leaves_one_alone() -> None:
    peers = Peers(parse_names("no-such-name.invalid", 8080), own_port=8080, path="/")
    assert await peers.owners(IDS[:3]) == [None] * 3


async def test_a_peer_that_does_not_answer_says_nothing(unused_tcp_port: int) -> None:
    peers = Peers((), 8080, "/")
    assert await peers.hand_over(Address("127.0.0.1", unused_tcp_port), [{}]) is None
    await peers.close()
