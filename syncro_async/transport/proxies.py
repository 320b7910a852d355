"""Which of the environment's proxies stands between us and a service."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies


def environment_proxy(base_url: str) -> str | None:
    """The proxy's URL, by the rules of httpx; None where there is none.

    `HTTPS_PROXY` or `HTTP_PROXY` goes before `ALL_PROXY`. `NO_PROXY` spares hosts (a name with
    those below it, `.name` those below it alone, an address), `host:port`, URLs, and with `*` all.
    """
    proxies = getproxies()
    target = urlsplit(base_url)
    proxy = proxies.get(target.scheme) or proxies.get("all")
    spared = (entry.strip() for entry in proxies.get("no", "").split(","))
    if not proxy or any(_spares(entry, target) for entry in spared):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _spares(entry: str, target: SplitResult) -> bool:
    host = target.hostname or ""
    if entry in {"", "*"} or _is_address(entry):
        return entry in {host, "*"}
    scheme, _, place = entry.rpartition("://")
    try:
        pattern = urlsplit(f"//{place}")
        same_port = pattern.port in {None, target.port}
    except ValueError:  # a network of IPv6 addresses: it names no host
        return False
    if scheme not in {"", "all", target.scheme} or not same_port:
        return False
    name = pattern.hostname or "*"
    if not (scheme or name == "localhost"):
        name = f"*{name}"  # a name alone is meant with all below it
    if name.startswith("*"):
        below = name.lstrip("*").removeprefix(".")
        return not below or host.endswith(f".{below}") or name == f"*{host}"
    return host == name


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
