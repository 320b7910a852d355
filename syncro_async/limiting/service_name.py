"""Gives one name to a service, however its base URL is spelled.

The budget belongs to a key at a service. Two spellings must not have two budgets.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def service_name(base_url: str) -> str:
    """The base URL in one spelling: `https://host:443/path`.

    Case, a dot at the end of the host, the standard port, slashes, and the names and addresses of
    the loopback make no difference. Two names of one remote server remain two.
    """
    parts = urlsplit(base_url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    path = "/".join(step for step in parts.path.split("/") if step)
    return f"{parts.scheme}://{_host_name(parts.hostname or '')}:{port}/{path}"


def _host_name(host: str) -> str:
    name = host.rstrip(".").lower()
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        if name == "localhost" or name.endswith(".localhost"):
            return "localhost"
        return _ascii(name)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return "localhost" if mapped.is_loopback or mapped.is_unspecified else str(mapped)


def _ascii(name: str) -> str:
    """The form in which the host is looked up, also for a name with other letters."""
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name
