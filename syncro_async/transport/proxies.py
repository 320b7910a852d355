"""Finds the proxy of the environment for a service."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What desktops write for a SOCKS proxy of any version.
_UNVERSIONED_SOCKS = "socks://"
_OLD_SOCKS = ("socks4://", "socks4a://")

# The beginnings of httpcore's messages about a proxy that wants other credentials. It says so in
# words only: 407 of an HTTP proxy, a wrong password, and a method of authentication it refuses.
_CREDENTIALS_REFUSED = ("407", "Invalid username/password", "Requested ")


def refuses_credentials(message: str) -> bool:
    """Whether a `ProxyError` with that message will come again, whatever is tried."""
    return message.startswith(_CREDENTIALS_REFUSED)


def environment_proxy(base_url: str) -> str | None:
    """The proxy's URL, by the rules of httpx; None where there is none.

    `HTTPS_PROXY` or `HTTP_PROXY` goes before `ALL_PROXY`. `NO_PROXY` spares hosts (a name with
    those below it, `.name` those below it alone, an address, a network such as `10.0.0.0/8`),
    `host:port`, URLs, and with `*` all. A port that the scheme implies is the same as none.
    `socks://` is SOCKS 5. Raises `ValueError` for SOCKS 4.
    """
    proxies = getproxies()
    target = urlsplit(base_url)
    proxy = proxies.get(target.scheme) or proxies.get("all")
    spared = (entry.strip() for entry in proxies.get("no", "").split(","))
    if not proxy or any(_spares(entry, target) for entry in spared):
        return None
    if "://" not in proxy:
        return f"http://{proxy}"
    scheme = proxy.lower()
    if scheme.startswith(_OLD_SOCKS):
        raise ValueError("a SOCKS proxy must speak version 5; its URL begins with 'socks5://'")
    if scheme.startswith(_UNVERSIONED_SOCKS):
        return f"socks5://{proxy[len(_UNVERSIONED_SOCKS) :]}"
    return proxy


def _spares(entry: str, target: SplitResult) -> bool:
    host = (target.hostname or "").rstrip(".")
    if entry in {"", "*"}:
        return entry == "*"
    if (network := _network(entry)) is not None:
        return _network(host) is not None and ip_address(host) in network
    scheme, _, place = entry.lower().rpartition("://")
    try:
        pattern = urlsplit(f"//{place}")
        port = pattern.port
    except ValueError:  # it names no host
        return False
    ports = {port, target.port or _DEFAULT_PORTS[target.scheme]}
    if scheme not in {"", "all", target.scheme} or (port is not None and len(ports) > 1):
        return False
    return _names(host, (pattern.hostname or "*").rstrip("."), alone=bool(scheme))


def _names(host: str, name: str, *, alone: bool) -> bool:
    """Whether that name is the host's, or, unless it stands `alone`, of a domain above it."""
    address = _network(name)
    if address is not None:
        return address == _network(host)
    if not (alone or name == "localhost"):
        name = f"*{name}"
    if name.startswith("*"):
        below = name.lstrip("*").removeprefix(".")
        return not below or host.endswith(f".{below}") or name == f"*{host}"
    return host == name


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """The network that this text names, an address as the network of itself; None for a name."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
