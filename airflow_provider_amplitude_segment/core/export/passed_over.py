"""The sets that a choice passes over although they look newer, so that no log and no run hides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.export.cohort_files import find_sets
from airflow_provider_amplitude_segment.core.export.file_set_choice import (
    GROWING_SECONDS,
    SETTLED_SECONDS,
    describe_lack,
    is_whole,
    waited,
)
from airflow_provider_amplitude_segment.exceptions import CohortFilesIncompleteError, CohortFilesOrderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.export.cohort_files import FileSet, ListedFile
    from airflow_provider_amplitude_segment.core.export.file_set_choice import Wanted


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What looks newer than the set that was chosen.

    Attributes:
        chosen: the newest whole set by its stamp.
        incomplete: the newest set after it that never became whole; ``None`` for none.
        written_later: of the whole sets with an earlier stamp, the one that was written last, if that was after
            ``chosen``; ``None`` for none.
    """

    chosen: FileSet
    incomplete: FileSet | None
    written_later: FileSet | None

    def warnings(self) -> list[str]:
        """Return what a log says of them."""
        texts = []
        chosen = f"the one with stamp {self.chosen.stamp}, written at {timestamp(self.chosen.written_at)}, is used"
        if self.incomplete is not None:
            texts.append(
                f"The newest set of cohort files, with stamp {self.incomplete.stamp}, is passed over: "
                f"{describe_lack(self.incomplete)}. Of the complete ones, {chosen}. Check the destination's status in "
                "Amplitude."
            )
        if self.written_later is not None:
            texts.append(
                f"The set of cohort files with stamp {self.written_later.stamp} was written later, at "
                f"{timestamp(self.written_later.written_at)}, but its stamp is earlier, so {chosen}. If it is no old "
                "copy, Amplitude's stamps do not give the order of its sets."
            )
        return texts

    def refuse(self, wanted: Wanted, now: float) -> None:
        """Refuse to end without anything new, because that would look as if Amplitude had written nothing.

        Raises:
            CohortFilesIncompleteError: no set is complete after the chosen one, and there is one.
            CohortFilesOrderError: a set with an earlier stamp was written after the chosen one.
        """
        if self.incomplete is not None:
            raise CohortFilesIncompleteError(
                wanted.cohort_id,
                wanted.place,
                self.incomplete.stamp,
                describe_lack(self.incomplete),
                waited(wanted, now),
                synced=self.chosen.stamp,
            )
        if self.written_later is not None:
            raise CohortFilesOrderError(
                wanted.cohort_id,
                wanted.place,
                self.chosen.stamp,
                timestamp(self.chosen.written_at),
                later_stamp=self.written_later.stamp,
                later_written=timestamp(self.written_later.written_at),
            )


def find_passed_over(files: Sequence[ListedFile], wanted: Wanted, set_id: str, now: float) -> PassedOver | None:
    """Return what looks newer than a set; ``None`` if the set is not there.

    A set that may still be written is not among them: a choice waits for it.

    Args:
        files: of the folder.
        wanted: whose sets.
        set_id: of the chosen set.
        now: seconds since 1970.
    """
    sets = find_sets(files, wanted.project_id, wanted.cohort_id)
    place = next((index for index, found in enumerate(sets) if found.set_id == set_id), None)
    if place is None:
        return None
    chosen = sets[place]
    after = [found for found in sets[place + 1 :] if not is_whole(found) and now - found.changed_at >= GROWING_SECONDS]
    later = [
        found
        for found in sets[:place]
        if is_whole(found) and now - found.changed_at >= SETTLED_SECONDS and found.written_at > chosen.written_at
    ]
    return PassedOver(
        chosen, after[-1] if after else None, max(later, key=lambda found: found.written_at) if later else None
    )
