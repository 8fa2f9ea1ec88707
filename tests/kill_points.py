"""A fork server that runs ``vidpipe`` in processes which die, or stand still, at a chosen moment. Started by ``tests/kill_support.py``.

The product knows nothing of it: a child wraps functions of vidpipe by name, then runs the command line as ever. Forking saves each of a
thousand commands the start of Python.

    {"start": {"argv": [...], "environ": {...}, "output": FILE, "moment": MOMENT}}  -> {"pid": 17}
    {"wait": 17, "seconds": 60}                             -> {"ended": 0}, {"ended": -9}, {"stopped": true} or {"running": true}

A MOMENT is ``{"act": "kill" or "stop", "at": POINT, "when": "before" or "after", "nth": 1}`` or ``{"act": …, "event": 25}``: that many
events, which are all moments of all points, and whatever else Python sees of files, sockets, databases and programs.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

VERSION = r"\d{8}T\d{6}Z-[0-9a-f]{6}"

Matches = Callable[[tuple[Any, ...], dict[str, Any]], bool]


class Point(NamedTuple):
    """A moment with a name: the calls of these functions, MODULE:NAME, that match."""

    functions: tuple[str, ...]
    matches: Matches = lambda arguments, named: True


def storages(method: str) -> tuple[str, ...]:
    return f"vidpipe.storage.local:LocalStorage.{method}", f"vidpipe.storage.s3:S3Storage.{method}"


def path(pattern: str, position: int = 1) -> Matches:
    """Calls whose argument at this position is a path that ends like this. (0 is ``self``.)"""
    return lambda arguments, named: bool(re.search(f"{pattern}$", str(arguments[position]))) if len(arguments) > position else False


POINTS: dict[str, Point] = {
    "note": Point(("vidpipe.work.jobs:Claim.save",)),
    "note removed": Point(("vidpipe.work.jobs:Claim.finish",)),
    "key": Point(("vidpipe.protect.key_store:KeyStore.create",)),
    "key removed": Point(("vidpipe.protect.key_store:KeyStore.remove",)),
    "segment": Point(storages("put"), path(r"\.m4s")),
    "copy": Point(storages("copy")),
    "master playlist": Point(storages("put"), path(rf"{VERSION}/master\.m3u8")),
    "inventory": Point(storages("put"), path(r"/inventory\.json")),
    "record": Point(storages("put"), path(r"/record\.json")),
    "row": Point(tuple(f"vidpipe.catalog.title_rows:TitleRows.{change}" for change in ("add", "set_status", "remove"))),  # before COMMIT
    "catalog": Point(tuple(f"vidpipe.catalog.store:Catalog.{change}" for change in ("publish", "change"))),  # after COMMIT
    "address": Point((*storages("put"), *storages("delete")), path(r"^[^/]+/master\.m3u8")),
    "media deletion": Point(storages("delete_prefix")),
    "object deletion": Point(
        ("os:unlink", "vidpipe.storage.s3:S3Storage.delete"),
        lambda arguments, named: "dir_fd" in named or path(rf"{VERSION}/.*")(arguments, named),  # shutil.rmtree names files by folder
    ),
    "sync": Point(("os:fsync",)),  # of a file that is written, and has not its name yet; or of a folder
    "rename": Point(("os:replace",), path(r"")),  # of a file that is whole: durable.py
    "address rename": Point(("os:replace",), path(r"/library/[^/]+/master\.m3u8")),
    "title of a batch": Point(("vidpipe.batch.queue:_one",)),
    "put away": Point(("vidpipe.batch.inbox:_Folder.put_away", "vidpipe.batch.inbox:_Prefix.put_away")),
    "source moved": Point(
        ("os:rename", "vidpipe.storage.s3:S3Storage.copy"),
        lambda arguments, named: any(re.search("(done|failed)/", str(argument)) for argument in arguments[1:]),
    ),
}

WATCHED = (
    *("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "shutil.rmtree"),
    *("sqlite3.connect", "subprocess.Popen", "http.client.send"),
)
"""Events of Python (sys.addaudithook) that count, and "open" for writing."""


class Reached:
    """Counts, from any thread, and acts when the moment has come."""

    def __init__(self, moment: dict[str, Any]) -> None:
        self._moment = moment
        self._left = int(moment.get("event") or moment.get("nth") or 1)
        self._lock = threading.RLock()  # what acts may cause an event itself

    def point(self, name: str, when: str) -> None:
        if "event" in self._moment or (name, when) == (self._moment["at"], self._moment["when"]):
            self._count()

    def event(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name in WATCHED or (name == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            self._count()

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                if self._moment["act"] == "stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                else:
                    os.killpg(0, signal.SIGKILL)
                    time.sleep(60)


def arm(moment: dict[str, Any]) -> None:
    """Wrap what the moment is about; all points if events are counted."""
    reached = Reached(moment)
    for name, point in POINTS.items():
        if "event" in moment or name == moment["at"]:
            for function in point.functions:
                _wrap(function, name, point.matches, reached)
    if "event" in moment:
        sys.addaudithook(reached.event)


def _wrap(function: str, name: str, matches: Matches, reached: Reached) -> None:
    module, _, rest = function.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, last = rest.split(".")
    for part in outer:
        owner = getattr(owner, part)
    original = getattr(owner, last)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        if not matches(arguments, named):
            return original(*arguments, **named)
        reached.point(name, "before")
        result = original(*arguments, **named)
        reached.point(name, "after")
        return result

    setattr(owner, last, wrapped)


def run(order: dict[str, Any]) -> None:
    """Be ``vidpipe``, in a process group of its own."""
    os.setpgid(0, 0)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
        os.dup2(file, number)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(order["environ"])
    sys.argv = ["vidpipe", *order["argv"]]
    if order["moment"]:
        arm(order["moment"])
    from vidpipe.cli import main

    code = 70
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 70
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait(pid: int, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if found and os.WIFSTOPPED(status):
            return {"stopped": True}
        if found:
            return {"ended": os.waitstatus_to_exitcode(status)}
        if time.monotonic() > deadline:
            return {"running": True}
        time.sleep(0.005)


def answers(orders: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for order in orders:
        if "wait" in order:
            yield wait(order["wait"], order["seconds"])
            continue
        pid = os.fork()
        if pid == 0:
            run(order["start"])
        with suppress(OSError):
            os.setpgid(pid, pid)  # it does so too: whoever is first
        yield {"pid": pid}


PRELOADED = (
    "boto3.s3.transfer",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "vidpipe.batch.watch",
    "vidpipe.catalog.store",
    "vidpipe.cli.app",
    "vidpipe.cli.exits",
    "vidpipe.cli.reporters",
    "vidpipe.cli.summary",
    "vidpipe.lifecycle.deletion",
    "vidpipe.lifecycle.garbage",
    "vidpipe.lifecycle.repair",
    "vidpipe.lifecycle.rollback",
    "vidpipe.pipeline.ingest",
    "vidpipe.storage.s3",
    "vidpipe.verify.proof",
)


if __name__ == "__main__":
    for module in PRELOADED:
        importlib.import_module(module)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with os.fdopen(os.dup(1), "w") as out:
        for answer in answers(map(json.loads, sys.stdin)):
            out.write(json.dumps(answer) + "\n")
            out.flush()
