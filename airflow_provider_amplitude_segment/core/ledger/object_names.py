"""The names of a state path's folders and objects: no other module builds or parses them.

    amplitude-segment-state.json                      the mark of the state path (``core.ledger.state_path_mark``)
    amplitude-segment-source-<key fingerprint>.json   the source that has a write key (``core.proof.kept_source``)
    <app id>/<cohort id>/runs/<run key>.json
    <app id>/<cohort id>/<destination>/               a ledger
        claim-n.json  seen-n.json  plan-n.json  commit-n.json  acked-n-c.json
        changes-n.parquet  base-n.parquet  snapshot-n-c.parquet
        current.json
        rejected/n.csv  dry-runs/<run key>.csv  verification/n.csv  verification/n.json  reports/c.json

``n`` is a generation from 1, ``c`` the generation of the claim that wrote the object. ``.<name>.<hex digits>`` is an
object that its writer has not finished (``clients.ledger_store``). An object of any other name is foreign: it is never
read, written over or deleted.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["claim", "seen", "plan", "commit", "acked", "changes", "base", "snapshot"]

CURRENT = "current.json"
RUNS = "runs"
REJECTED = "rejected"
DRY_RUNS = "dry-runs"
VERIFICATION = "verification"
REPORTS = "reports"

FOR_PEOPLE = (REJECTED, DRY_RUNS, VERIFICATION)
"""The folders in a ledger's folder with files that name users; see ``names_users``."""

SIDE_FOLDERS = (*FOR_PEOPLE, REPORTS)
"""The folders in a ledger's folder."""

# Each kind's suffix, and whether its name has the claim that wrote it.
_KINDS: dict[str, tuple[str, bool]] = {
    "claim": ("json", False),
    "seen": ("json", False),
    "plan": ("json", False),
    "commit": ("json", False),
    "acked": ("json", True),
    "changes": ("parquet", False),
    "base": ("parquet", False),
    "snapshot": ("parquet", True),
}
_NUMBER = "[1-9][0-9]{0,17}"
_OBJECT = re.compile(rf"([a-z]+)-({_NUMBER})(?:-({_NUMBER}))?\.(json|parquet)")
_REJECTED_FILE = re.compile(rf"({_NUMBER})\.csv")
_BESIDE = {
    REJECTED: _REJECTED_FILE,
    DRY_RUNS: re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.csv"),
    VERIFICATION: re.compile(rf"{_NUMBER}\.(?:csv|json)"),
    REPORTS: re.compile(rf"{_NUMBER}\.json"),
}
_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]+")
_PLAIN_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HASHED_FOLDER = re.compile(r"-[0-9a-f]{24}")


@dataclass(frozen=True, slots=True)
class ObjectName:
    """The name of a numbered object in a ledger's folder; ``str`` gives its text.

    Attributes:
        kind: of the object.
        generation: ``n``.
        claim: ``c``; ``None`` for the kinds whose names have none.

    >>> str(ObjectName("plan", 3)), str(ObjectName("snapshot", 3, 5))
    ('plan-3.json', 'snapshot-3-5.parquet')
    """

    kind: Kind
    generation: int
    claim: int | None = None

    def __str__(self) -> str:
        """Return the object's name in the folder."""
        claim = "" if self.claim is None else f"-{self.claim}"
        return f"{self.kind}-{self.generation}{claim}.{_KINDS[self.kind][0]}"

    @property
    def owner(self) -> int:
        """The generation of the claim that wrote it, as far as the name has it."""
        return self.generation if self.claim is None else self.claim

    @property
    def is_data(self) -> bool:
        """Whether it is a file with users instead of an entry."""
        return _KINDS[self.kind][0] == "parquet"


def parse_object(name: str) -> ObjectName | None:
    """Parse the name of a numbered object in a ledger's folder; return ``None`` for any other name.

    >>> parse_object("acked-3-5.json")
    ObjectName(kind='acked', generation=3, claim=5)
    >>> [parse_object(name) for name in ("snapshot-1.parquet", "plan-0.json", "plan-1.parquet", "plan-1-2.json")]
    [None, None, None, None]
    """
    match = _OBJECT.fullmatch(name)
    if match is None or match[1] not in _KINDS:
        return None
    suffix, has_claim = _KINDS[match[1]]
    if match[4] != suffix or (match[3] is not None) is not has_claim:
        return None
    return ObjectName(cast("Kind", match[1]), int(match[2]), int(match[3]) if match[3] else None)


def parse_unfinished(name: str) -> ObjectName | None:
    """Return the numbered object that an unfinished one becomes; ``None`` for any other name.

    >>> parse_unfinished(".snapshot-3-5.parquet.0123456789abcdef")
    ObjectName(kind='snapshot', generation=3, claim=5)
    """
    match = _UNFINISHED.fullmatch(name)
    return parse_object(match[1]) if match else None


def objects_of(names: Iterable[str], *kinds: Kind) -> list[ObjectName]:
    """Return the numbered objects of some kinds among a folder's names, the lowest generation first.

    >>> objects_of(["commit-10.json", "commit-2.json", "plan-11.json", "notes.txt"], "commit")
    [ObjectName(kind='commit', generation=2, claim=None), ObjectName(kind='commit', generation=10, claim=None)]
    """
    found = [parsed for name in names if (parsed := parse_object(name)) and parsed.kind in kinds]
    return sorted(found, key=lambda parsed: (parsed.generation, parsed.owner, parsed.kind))


def rejected_file(generation: int) -> str:
    """Return the name of the list of rejected users, below the ledger's folder."""
    return f"{REJECTED}/{generation}.csv"


def dry_run_file(run_key: str) -> str:
    """Return the name of the list of planned changes, below the ledger's folder."""
    return f"{DRY_RUNS}/{run_key}.csv"


def report_file(claim: int) -> str:
    """Return the name of a try's report, below the ledger's folder."""
    return f"{REPORTS}/{claim}.json"


def report_claim(name: str) -> int | None:
    """Return the claim of a report, by its name in ``REPORTS``; ``None`` for any other name."""
    return int(name.partition(".")[0]) if is_beside(REPORTS, name) else None


def mismatched_file(generation: int) -> str:
    """Return the name of the list of users whom a verification of a commit mismatched, below the ledger's folder."""
    return f"{VERIFICATION}/{generation}.csv"


def verify_report_file(generation: int) -> str:
    """Return the name of the report of a commit's verification, below the ledger's folder."""
    return f"{VERIFICATION}/{generation}.json"


def run_file(run_key: str) -> str:
    """Return the name of a run's checkpoint, below the cohort's folder."""
    return f"{RUNS}/{run_key}.json"


def source_file(key_fingerprint: str) -> str:
    """Return the name of what is known of the source that has a write key, at the root of the state path.

    >>> source_file("3bfa1fc9822052d2")
    'amplitude-segment-source-3bfa1fc9822052d2.json'
    """
    return f"amplitude-segment-source-{folder_name(key_fingerprint)}.json"


def rejected_generation(name: str) -> int | None:
    """Return the generation of a list of rejected users, by its name in its folder; ``None`` for any other name.

    >>> rejected_generation("12.csv"), rejected_generation("12 copy.csv")
    (12, None)
    """
    match = _REJECTED_FILE.fullmatch(name)
    return int(match[1]) if match else None


def verified_generation(name: str) -> int | None:
    """Return the generation of a verification's file, by its name in its folder; ``None`` for any other name.

    >>> verified_generation("12.csv"), verified_generation("12.json"), verified_generation("12.csv.bak")
    (12, 12, None)
    """
    return int(name.partition(".")[0]) if is_beside(VERIFICATION, name) else None


def is_beside(folder: str, name: str) -> bool:
    """Return whether a name in one of a ledger's side folders is that of a file of this package.

    >>> [is_beside("rejected", name) for name in ("12.csv", "12.csv.bak", "notes.csv")]
    [True, False, False]
    """
    return _BESIDE[folder].fullmatch(name) is not None


def names_users(folder: str, name: str) -> bool:
    """Return whether a name in one of a ledger's side folders is that of a file that names users.

    >>> [names_users("verification", name) for name in ("12.csv", "12.json")], names_users("reports", "12.json")
    ([True, False], False)
    """
    return folder in FOR_PEOPLE and is_beside(folder, name) and name.endswith(".csv")


def is_unfinished_beside(folder: str, name: str) -> bool:
    """Return whether a name in one of a ledger's side folders is that of a file that its writer has not finished.

    >>> is_unfinished_beside("rejected", ".12.csv.0123456789abcdef"), is_unfinished_beside("rejected", ".x.swp")
    (True, False)
    """
    match = _UNFINISHED.fullmatch(name)
    return match is not None and is_beside(folder, match[1])


def foreign_names(names: Iterable[str]) -> list[str]:
    """Return the foreign names in a ledger's folder, sorted.

    >>> foreign_names(["plan-1.json", "current.json", "rejected", ".plan-2.json.0a", "plan-1.json.bak"])
    ['plan-1.json.bak']
    """
    finished = ((name, match[1] if (match := _UNFINISHED.fullmatch(name)) else name) for name in names)
    return sorted(
        name for name, text in finished if text != CURRENT and name not in _BESIDE and parse_object(text) is None
    )


def foreign_names_beside(folder: str, names: Iterable[str]) -> list[str]:
    """Return the foreign names in one of a ledger's side folders, sorted.

    >>> foreign_names_beside("reports", ["3.json", ".4.json.0a", "notes.txt"])
    ['notes.txt']
    """
    return sorted(name for name in names if not is_beside(folder, name) and not is_unfinished_beside(folder, name))


def folder_name(text: str) -> str:
    """Return a safe folder name: the same for equal texts, another for another text.

    >>> folder_name("26umsb5")
    '26umsb5'
    >>> folder_name("../../etc")
    '-74ccf3c5b4c19a8167f9a3d1'
    """
    # A plain name never begins with a hyphen, so no text equals the hash of another one.
    return text if _PLAIN_FOLDER.fullmatch(text) else _hashed(text)


def destination_folder(name: str) -> str:
    """Return the folder name of a destination.

    >>> destination_folder("prod~3f1c77aa3f1c77aa")
    'prod~3f1c77aa3f1c77aa'
    """
    if name == RUNS:
        # The folder of run checkpoints has this name.
        return _hashed(name)
    # ~ stands between a destination and its routing, so each half is made safe by itself.
    return "~".join(folder_name(part) for part in name.rsplit("~", 1))


def is_folder(name: str) -> bool:
    """Return whether a name can be that of an app's or a cohort's folder.

    >>> [is_folder(name) for name in ("187520", "-74ccf3c5b4c19a8167f9a3d1", "lost+found", "dag_id=x", ".snapshot")]
    [True, True, False, False, False]
    """
    return (_PLAIN_FOLDER.fullmatch(name) or _HASHED_FOLDER.fullmatch(name)) is not None


def is_destination_folder(name: str) -> bool:
    """Return whether a name can be that of a ledger's folder, below a cohort's.

    >>> [is_destination_folder(name) for name in ("prod~3f1c77aa3f1c77aa", "prod", "a~b~c", "runs")]
    [True, True, False, False]
    """
    return name != RUNS and len(parts := name.split("~")) <= 2 and all(map(is_folder, parts))  # noqa: PLR2004 - see above


def _hashed(text: str) -> str:
    return "-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
