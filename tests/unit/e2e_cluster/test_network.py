"""A cluster's cable: a free /30, and names that the kernel takes."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from e2e.cluster import network

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)


@given(NAMES)
def test_a_link_name_fits_the_kernel(name: str) -> None:
    assert len(network.machine_end(name)) <= 15


@given(NAMES, st.integers(1, 2))
def test_a_cable_in_use_is_not_given_again(name: str, end: int) -> None:
    first = network.free_cable(name, [])
    other = network.free_cable(name, [str(ipaddress.ip_address(first + end)), "10.0.0.1"])
    assert other != first
    assert first % 4 == other % 4 == 0
    assert network.free_cable(name, []) == first


def test_a_cable_lies_in_the_range_that_nobody_routes() -> None:
    cable = ipaddress.ip_address(network.free_cable("modelcycle", []))
    assert cable in ipaddress.ip_network("198.18.0.0/15")


def test_nothing_is_present_of_a_cluster_that_never_was() -> None:
    assert network.present("never-was") == []
