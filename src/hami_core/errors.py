"""Every fault the project raises, one class per cause a caller can act on.

An expected "no" (a pod that does not fit) is a value, never an exception; see `hami_core.verdict`.
Messages name the place, what was wanted, what was found and what to write instead. Facts are fields.
"""

from __future__ import annotations


class HamiError(Exception):
    """Base of all errors raised on purpose. The CLI prints it as one line and exits with `exit_code`."""

    exit_code = 2


class BadQuantity(HamiError):
    """A resource quantity that is not one, or is out of range for what it counts."""

    def __init__(self, *, where: str, wanted: str, found: object, write: str | None = None) -> None:
        self.where = where
        self.wanted = wanted
        self.found = found
        self.write = write
        super().__init__(where, wanted, found, write)

    def __str__(self) -> str:
        hint = f" (write {self.write})" if self.write else ""
        return f"{self.where} must be {self.wanted}; got {shown(self.found)}{hint}"


class BadWire(HamiError):
    """Text from the cluster (annotation, lock, admission body) that does not follow its grammar."""

    def __init__(self, *, what: str, problem: str, position: str | None = None) -> None:
        self.what = what
        self.problem = problem
        self.position = position
        super().__init__(what, problem, position)

    def __str__(self) -> str:
        at = f", {self.position}" if self.position else ""
        return f"{self.what}{at}: {self.problem}"


class BadConfig(HamiError):
    """A configuration, machine or cluster file that cannot be used. Says file, place and cure."""

    def __init__(self, *, file: str, problem: str, place: str | None = None) -> None:
        self.file = file
        self.problem = problem
        self.place = place
        super().__init__(file, problem, place)

    def __str__(self) -> str:
        at = f": {self.place}" if self.place else ""
        return f"{self.file}{at}: {self.problem}"


class AdmissionRefused(HamiError):
    """A pod that must not be admitted; the message goes to the person who wrote the pod."""


class PluginFault(HamiError):
    """A plugin that cannot be used: it clashes with another, misspells a hook or fails to load."""

    def __init__(self, *, plugin: str, problem: str) -> None:
        self.plugin = plugin
        self.problem = problem
        super().__init__(plugin, problem)

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.problem}"


class UnknownName(HamiError):
    """A name (plugin, family, machine, policy, node, reservation) that nothing answers to."""

    def __init__(self, *, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self.name = name
        self.known = known
        super().__init__(kind, name, known)

    def __str__(self) -> str:
        have = f"; known: {', '.join(self.known)}" if self.known else ""
        return f"no {self.kind} named {shown(self.name)}{have}"


class ReservationConflict(HamiError):
    """The state changed under a reservation: the share is no longer there, or the pod holds one already."""


class ProbeFailed(HamiError):
    """Devices could not be read. Unknown is not zero: callers keep what they knew."""


class ApiFailed(HamiError):
    """A call to the Kubernetes API server that did not do what it should. `status` is None where no answer came."""

    def __init__(self, *, call: str, problem: str, status: int | None = None) -> None:
        self.call = call
        self.problem = problem
        self.status = status
        super().__init__(call, problem, status)

    def __str__(self) -> str:
        code = f" ({self.status})" if self.status else ""
        return f"{self.call}{code}: {self.problem}"


def shown(value: object, limit: int = 80) -> str:
    """Render an untrusted value for a message: quoted, escaped, shortened to `limit` characters."""
    text = ascii(value)
    if text.startswith("'") and '"' not in text:
        text = f'"{text[1:-1]}"'
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
