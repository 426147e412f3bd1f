"""Whether a name or an address means this machine only."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    """Also for an IPv4 address in IPv6's clothes, which `is_loopback` alone takes for a public one."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def names_this_machine(host: str) -> bool:
    """Whether a Host header (a name, maybe with a port) can only mean this machine.

    A page of somebody else's can have its own name lead to 127.0.0.1 after it was loaded, and is then of our origin to
    a browser; the name it asks for stays its own.
    """
    name = _without_port(host).rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return is_loopback(ip_address(name))
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
