"""A schedule of faults: which commands run one after the other, and what befalls the requests that they make. All of it from a seed.

Which fault a request suffers depends on the seed, the number of the command, the kind and the key of the request, and how often it was
asked before, and on nothing else: not on which of several threads is faster. So the same seed is the same schedule.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.faults.server import FITTING, Asked, Fault

COMMANDS = {
    **{"rename": 4, "replace": 4, "rekey": 3, "set": 3, "rollback": 2, "copy": 2, "prune": 2, "withdraw": 3},
    **{"ingest": 1, "repair": 1, "gc": 1, "restore": 0.2, "delete": 0.2},
}
"""What runs, and how often. rename: ingest with another title.  replace: of another source.  rekey: with a new key.  ingest: of what is
live already.  copy: to another target."""
FOLLOWS = {"withdraw": ("restore", "delete", "replace"), "copy": ("copy", "prune", "withdraw"), "rollback": ("prune", "rename")}
"""What makes sense only, or is of special interest, after something else."""
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Step:
    """A command. again: if it fails, it is run again right then, without faults; otherwise the next command follows, under faults."""

    command: str
    again: bool


@dataclass(frozen=True)
class Schedule:
    """What happens. kinds: of faults.  requests: kinds of requests that suffer them, empty for all.  share: of these, how many.

    attempts: of each request, by the client.  lag: changes by which a listing is behind.  page: entries of a listing.
    part: bytes from which an object goes in parts, each as large; None for none that does.
    """

    seed: int
    steps: tuple[Step, ...]
    kinds: tuple[Fault, ...]
    requests: tuple[str, ...]
    share: float
    attempts: int
    lag: int
    page: int
    part: int | None

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """Return the schedule of a seed."""
        chance = random.Random(f"schedule {seed}")
        commands: list[str] = []
        while not commands or (len(commands) < 3 and chance.random() < (0.6 if commands[-1] in FOLLOWS else 0.25)):
            last = FOLLOWS.get(commands[-1]) if commands and chance.random() < 0.7 else None
            commands += [chance.choice(last)] if last else chance.choices(list(COMMANDS), list(COMMANDS.values()))
        kinds = tuple(Fault)
        if chance.random() < 0.75:  # one alone is seldom hidden by another
            kinds = tuple(chance.sample(kinds, chance.choice((1, 1, 2, 4))))
        fitting = [request for request, faults in FITTING.items() if set(faults) & set(kinds)]
        requests = tuple(chance.sample(fitting, min(len(fitting), chance.choice((1, 2))))) if chance.random() < 0.6 else ()
        return cls(
            seed=seed,
            steps=tuple(Step(command, again=chance.random() < 0.6) for command in commands),
            kinds=kinds,
            requests=requests,
            share=chance.choice(SHARES if requests else SHARES[:-1]),
            attempts=chance.choice((1, 1, 2, 4)),
            lag=chance.choice((1, 3, 10, 40)),
            page=chance.choice((3, 1000, 1000)),
            part=chance.choice((None, None, None, 3000)),
        )

    def fault(self, step: int, asked: Asked) -> Fault | None:
        """Return what befalls a request of a command."""
        if self.requests and asked.operation not in self.requests:
            return None
        chance = random.Random(f"{self.seed} {step} {asked.operation} {asked.key} {asked.number}")
        if chance.random() >= self.share:
            return None
        fitting = [fault for fault in FITTING[asked.operation] if fault in self.kinds]
        return chance.choice(fitting) if fitting else None

    def __str__(self) -> str:
        steps = ", ".join(step.command + ("" if step.again else " (given up)") for step in self.steps)
        kinds = "all faults" if len(self.kinds) == len(Fault) else ", ".join(self.kinds)
        requests = ", ".join(self.requests) or "all requests"
        return (
            f"seed {self.seed}: {steps}; {kinds} in {self.share:.0%} of {requests}; {self.attempts} attempts, "
            f"lists {self.lag} changes behind, {self.page} a page, {f'parts of {self.part} bytes' if self.part else 'no parts'}"
        )
