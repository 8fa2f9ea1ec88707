"""Which status a version may have next. Rules that ``Catalog.change`` and ``Catalog.publish`` apply inside a transaction.

In:   the versions of a title and their statuses (TitleRows).
Out:  other statuses, or lines removed.
Wrong: UsageError for what a title's state does not allow; CatalogFailed if another command was faster.

    publish -> live -> superseded -> live (roll back)
               live -> withdrawn  -> live (restore)
                       superseded or withdrawn -> deleting -> gone

A title has one version at most that is live or withdrawn. A rule may be applied twice, if nobody knows what became of the first time: where
its work is done already, it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidpipe.catalog.record import STANDING, Record, Status
from vidpipe.errors import CatalogFailed, UsageError

if TYPE_CHECKING:
    from vidpipe.catalog.title_rows import TitleRows


def still(known: Record | None) -> Callable[[TitleRows], None]:
    """Return the rule that a title stands as it did. known: its live or withdrawn version when it was looked at, None if it had none.

    What was decided then, such as which title and metadata to keep, would undo what another command has done since.
    """

    def rule(title: TitleRows) -> None:
        version = title.standing
        if (version, version and title.statuses[version]) != (known.version if known else None, known.status if known else None):
            raise _overtaken(title)

    return rule


def make_live(version: str, *, instead_of: Record | None) -> Callable[[TitleRows], None]:
    """Return the rule that makes a superseded or withdrawn version live. instead_of: what stood there when this was decided."""

    def rule(title: TitleRows) -> None:
        status = title.statuses.get(version)
        if status == "live":
            return
        still(instead_of)(title)
        if status not in ("superseded", "withdrawn"):
            raise UsageError(
                f"version {version} of {title.content_id} is {status or 'not in the catalog'}",
                fix=f"choose another: vidpipe catalog versions {title.content_id}",
            )
        if title.standing is not None:
            title.set_status(title.standing, "superseded")
        title.set_status(version, "live")

    return rule


def withdraw(title: TitleRows) -> str:
    """Withdraw the version that is live, whichever it is, and return it. One that is withdrawn already stays so."""
    if title.standing is None:
        raise UsageError(f"{title.content_id} has no live version", fix=f"see vidpipe catalog versions {title.content_id}")
    if title.statuses[title.standing] == "live":
        title.set_status(title.standing, "withdrawn")
    return title.standing


def give_up_all(title: TitleRows) -> None:
    """Mark every version of a title as being deleted. Refused while one is live."""
    for version, status in title.statuses.items():
        if status == "live":
            raise is_live(title.content_id, version)
        if status != "deleting":
            title.set_status(version, "deleting")


def give_up(versions: Collection[str]) -> Callable[[TitleRows], tuple[str, ...]]:
    """Return the rule that marks versions as being deleted, and returns which. One that is superseded no longer, or gone, is left out."""

    def rule(title: TitleRows) -> tuple[str, ...]:
        states: dict[str, Status | None] = {version: title.statuses.get(version) for version in versions}
        for version, status in states.items():
            if status == "superseded":
                title.set_status(version, "deleting")
        return tuple(version for version, status in states.items() if status in ("superseded", "deleting"))

    return rule


def adopt(record: Record, fingerprint: str, status: Status) -> Callable[[TitleRows], None]:
    """Return the rule that gives a version its line, which the catalog has lost. It becomes live only where nothing stands."""

    def rule(title: TitleRows) -> None:
        if record.version not in title.statuses:
            given = "superseded" if status in STANDING and title.standing is not None else status
            dated = record if given == "live" else record.model_copy(update={"status_since": datetime.now(UTC)})
            title.add(dated, fingerprint, given)

    return rule


def forget(version: str) -> Callable[[TitleRows], None]:
    """Return the rule that removes the line of a version whose objects are gone."""

    def rule(title: TitleRows) -> None:
        if title.statuses.get(version) == "deleting":
            title.remove(version)

    return rule


def is_live(content_id: str, version: str) -> UsageError:
    """Return the error for deleting a title that is live."""
    return UsageError(
        f"{content_id} is live (version {version})", fix=f"take it down first: vidpipe catalog withdraw {content_id}, then delete it"
    )


def _overtaken(title: TitleRows) -> CatalogFailed:
    now = f"version {title.standing} is {title.statuses[title.standing]}" if title.standing else "no version is live"
    return CatalogFailed(
        f"another command has changed {title.content_id} meanwhile: now {now}",
        where=title.where,
        fix=f"see vidpipe catalog versions {title.content_id}, then run the same command again: what is encoded is reused",
    )
