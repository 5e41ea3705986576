"""Ask Segment for the users of a sample, and decide how each compares with the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileUnreadable
from airflow_provider_amplitude_segment.core.verification.verdict import MISMATCHES, NO_PROFILE, found_in, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_amplitude_segment.core.segment_api.ports import ProfileApi
    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer
    from airflow_provider_amplitude_segment.core.verification.profile_requests import ProfileRequests
    from airflow_provider_amplitude_segment.core.verification.sample import SampledPair, StateFile
    from airflow_provider_amplitude_segment.core.verification.verdict import Verdict

_FIRST_GAP = 5.0


@dataclass(slots=True)
class ProfileCheck:
    """The verdicts of a sample, as far as they are known; correct at any time.

    Attributes:
        pairs: the sample.
        verdicts: by position in ``pairs``. A mismatch is among them only when it is final.
        found: by position, what Segment has instead, of each mismatch.
        unreadable_status: of the last response for a user ID that Segment cannot read; ``None`` where none came.
    """

    pairs: Sequence[SampledPair]
    verdicts: dict[int, Verdict] = field(default_factory=dict, repr=False)
    found: dict[int, str] = field(default_factory=dict, repr=False)
    unreadable_status: int | None = None

    def count(self, numbers: Iterable[int] | None = None) -> Counter[str]:
        """Return how many of the pairs, or of all, have each verdict."""
        asked = self.verdicts if numbers is None else numbers
        return Counter(self.verdicts[number] for number in asked if number in self.verdicts)

    @property
    def mismatched(self) -> list[int]:
        """Positions of the mismatches."""
        return sorted(number for number, found in self.verdicts.items() if found in MISMATCHES)

    def drop_mismatches(self) -> None:
        """Take the mismatches back, because something else may explain them."""
        for number in self.mismatched:
            del self.verdicts[number]


def check_profiles(
    check: ProfileCheck,
    profile: ProfileApi,
    requests: ProfileRequests,
    state: StateFile,
    recheck: tuple[float, Callable[[int], None]],
) -> None:
    """Fill ``check``: ask for each pair, and ask again for mismatches before they count.

    Args:
        check: with the pairs, and no verdicts.
        profile: of the space.
        requests: sends the requests.
        state: for user IDs of one profile.
        recheck: for how many seconds a mismatch is asked again; and what to call with the number of known responses.

    Raises:
        SegmentApiError, VerificationStoppedError: as ``ProfileRequests.send_all``; ``check`` has what is known.
    """
    recheck_seconds, show = recheck
    answers = _Answers(check, show)
    check.verdicts.update({number: "suppressed" for number, pair in enumerate(check.pairs) if pair.suppressed})

    def ask(numbers: Iterable[int]) -> None:
        pairs = check.pairs
        asked = {number: partial(profile.trait, pairs[number].user_id, pairs[number].trait) for number in numbers}
        requests.send_all(asked, answers.note)

    ask(number for number in range(len(check.pairs)) if number not in check.verdicts)
    for gap in recheck_gaps(recheck_seconds):
        if not answers.doubtful:
            break
        requests.pause(gap)
        ask(sorted(answers.doubtful))
    shared = _shares_profile(check.pairs, answers.doubtful, profile, requests, state)
    for number, (found, instead) in answers.doubtful.items():
        check.verdicts[number] = "shares_profile" if number in shared else found
        check.found[number] = instead


@dataclass(slots=True)
class _Answers:
    """The responses of one check.

    Attributes:
        check: gets each verdict that is final.
        show: called with the number of known responses.
        doubtful: by position, each mismatch that may still pass, with what Segment has instead.
    """

    check: ProfileCheck
    show: Callable[[int], None]
    doubtful: dict[int, tuple[Verdict, str]] = field(default_factory=dict, repr=False)

    def note(self, number: int, answer: ProfileAnswer) -> None:
        """Keep what a response says of the pair at a position; once it matched, it needs no other response."""
        found = verdict(self.check.pairs[number].value, answer)
        if found is None or number in self.check.verdicts:
            return
        if isinstance(answer, ProfileUnreadable):
            self.check.unreadable_status = answer.status
        if found in MISMATCHES:
            self.doubtful[number] = (found, found_in(answer))
        else:
            self.doubtful.pop(number, None)
            self.check.verdicts[number] = found
        self.show(len(self.check.verdicts) + len(self.doubtful))


def recheck_gaps(seconds: float) -> Iterator[float]:
    """Yield the growing pauses before each recheck; the last recheck is after ``seconds``.

    >>> list(recheck_gaps(600)), list(recheck_gaps(3)), list(recheck_gaps(0))
    ([5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 285.0], [3.0], [])
    """
    gap, left = _FIRST_GAP, float(seconds)
    while left > 0:
        # A rest that is shorter than the gap before it joins that gap.
        pause = left if left <= 2 * gap else gap
        yield pause
        left -= pause
        gap *= 2


def _shares_profile(
    pairs: Sequence[SampledPair],
    doubtful: dict[int, tuple[Verdict, str]],
    profile: ProfileApi,
    requests: ProfileRequests,
    state: StateFile,
) -> set[int]:
    """Return the positions of the mismatches that another user ID of the same profile explains.

    Either the ledger has the ID in another case with another value, or the profile has another ID with another value.
    Where there is no profile, none is shared.
    """
    numbers = sorted(number for number, (_, instead) in doubtful.items() if instead != NO_PROFILE)
    shared = {numbers[position] for position in state.find_case_twins([pairs[number] for number in numbers])}
    others: list[tuple[int, str]] = []

    def note(number: int, answer: Sequence[str] | ProfileAnswer) -> None:
        if isinstance(answer, list | tuple):
            others.extend((number, str(other)) for other in answer if other != pairs[number].user_id)

    # A profile without the trait has received no value under any of its IDs.
    asked = [number for number in numbers if doubtful[number][0] == "different" and number not in shared]
    requests.send_all({number: partial(profile.user_ids, pairs[number].user_id) for number in asked}, note)
    return shared | state.find_other_values(pairs, others)
