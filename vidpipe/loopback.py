"""Whether a host is this machine: keys in clear may go there without TLS.

In:   the host of a URL, as ``urllib`` gives it.  Out: yes or no. Nobody is asked: what a name server says may be untrue.
"""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
