"""Draw the users to ask for from a ledger's state, by DuckDB.

Only pairs that are not in doubt are drawn, because the ledger promises nothing about the others. The order is a hash of
the pair and a seed. So the same commit and run draw the same users on each try, and the parts of the sample are the
first pairs of one order: of the last plan, of the members, and of all others. Each part is a uniform sample of its
pairs, also where the parts overlap. The members have a part of their own, because former members stay in the state, and
after years few of all pairs are members.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import duckdb


@dataclass(frozen=True, slots=True)
class SampledPair:
    """A pair of trait and user to ask for.

    Attributes:
        trait: the trait key.
        user_id: the user.
        value: the ledger's.
        is_member: whether the trait is the current one, and the value is ``true``.
        in_plan: whether it belongs to the part of the last plan.
        in_state: whether it belongs to the part of the whole state.
        suppressed: whether Segment suppresses the user.
    """

    trait: str
    user_id: str = field(repr=False)
    value: bool
    is_member: bool
    in_plan: bool
    in_state: bool
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """The pairs to ask for.

    Attributes:
        pairs: in the order of the draw.
        members: members in the state that Segment does not suppress.
        others: other pairs in the state, of users that Segment does not suppress.
        has_members: whether all members are among the pairs.
        has_others: whether all others are.
        has_plan: whether all pairs of the last plan are.
    """

    pairs: Sequence[SampledPair]
    members: int
    others: int
    has_members: bool
    has_others: bool
    has_plan: bool


_ALL = "g"
"""Above every hexadecimal number."""

_DRAWN = """SELECT trait, user_id, delivered, in_plan, trait = $trait AND delivered AS is_member,
                   md5(concat($seed, trait, chr(10), user_id)) AS draw,
                   user_id IN (SELECT user_id FROM suppressed) AS is_suppressed
            FROM settled LEFT JOIN of_plan USING (trait, user_id)"""
"""The pairs with their place in the order; see ``StateFile._make_draw``."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """A state on the worker's disk, in one connection of the engine.

    Attributes:
        engine: the connection, with the tables that these methods make.
        snapshot: the state.
        changes: of the last plan; ``None`` where there are none.
    """

    engine: duckdb.DuckDBPyConnection
    snapshot: Path
    changes: Path | None

    @property
    def _settled(self) -> str:
        return (
            f"SELECT trait, user_id, delivered FROM ({pairs_query(self.snapshot)}) "
            "WHERE NOT in_doubt AND delivered IS NOT NULL"
        )

    def load_suppressed(self, pages: Iterable[Sequence[str]]) -> None:
        """Keep the users that Segment suppresses in the engine, page by page."""
        self.engine.execute("CREATE OR REPLACE TEMP TABLE suppressed (user_id VARCHAR)")
        for page in pages:
            # An ID that is not UTF-8 is in no ledger, and cannot be bound.
            known = [user_id for user_id in page if _is_text(user_id)]
            self.engine.execute("INSERT INTO suppressed SELECT unnest($1::VARCHAR[])", [known])

    def count_members(self, trait: str) -> tuple[int, int]:
        """Return how many users are ``true`` and not in doubt, and how many of these Segment suppresses."""
        members, suppressed = one_row(
            self.engine,
            f"""SELECT count(*), count(*) FILTER (user_id IN (SELECT user_id FROM suppressed))
                FROM ({self._settled}) WHERE trait = $1 AND delivered""",
            [trait],
        )
        return int(members), int(suppressed)

    def count_in_doubt(self) -> tuple[int, int]:
        """Return how many pairs are in doubt, and how many of these not because Segment rejected them."""
        in_doubt, unsent = one_row(
            self.engine,
            f"""SELECT count(*), count(*) FILTER (coalesce(rejections, 0) = 0)
                FROM ({pairs_query(self.snapshot)}) WHERE in_doubt""",
        )
        return int(in_doubt), int(unsent)

    def draw(self, size: int, seed: str, trait: str) -> Sample:
        """Return distinct pairs: half from the last plan, a quarter members, a quarter others.

        Where one of them has fewer, more of the state is drawn.

        Args:
            size: how many.
            seed: of the order.
            trait: the current trait key.
        """
        terms = {"seed": seed, "trait": trait}
        self._make_draw()
        members, others = self._count(terms, "NOT is_suppressed")
        # A state that the sample holds whole is the plan's part, too.
        most = size if sum(self._count(terms, "true")) <= size else size // 2
        of_plan = self._draw_of_plan(terms, most)
        left_members, left_others = self._count(terms, "in_plan IS NULL")
        rest = size - of_plan
        of_members = min(left_members, max(rest - rest // 2, rest - left_others))
        of_others = min(left_others, rest - of_members)
        last_member = self._draw_of_state(terms, "is_member", of_members)
        last_other = self._draw_of_state(terms, "NOT is_member", of_others)
        has_members, has_others = of_members == left_members, of_others == left_others
        last = {"member": _ALL if has_members else last_member, "other": _ALL if has_others else last_other}
        rows = self.engine.execute(
            f"""SELECT trait, user_id, delivered, is_member, in_plan IS NOT NULL AS in_plan,
                       draw <= CASE WHEN is_member THEN $member ELSE $other END AS in_state, is_suppressed
                FROM ({_DRAWN}) SEMI JOIN of_sample USING (trait, user_id) ORDER BY draw""",
            {**terms, **last},
        )
        pairs = [SampledPair(*row) for row in rows.fetchall()]
        return Sample(pairs, members, others, has_members, has_others, has_plan=of_plan < most or of_plan == size)

    def _make_draw(self) -> None:
        """Make the view ``settled`` of the pairs, and the tables of those that were drawn."""
        self.engine.execute(f"CREATE OR REPLACE TEMP VIEW settled AS {self._settled}")
        self.engine.execute("CREATE OR REPLACE TEMP TABLE of_plan (trait VARCHAR, user_id VARCHAR, in_plan BOOLEAN)")
        self.engine.execute("CREATE OR REPLACE TEMP TABLE of_sample (trait VARCHAR, user_id VARCHAR, draw VARCHAR)")

    def _count(self, terms: Mapping[str, Any], which: str) -> tuple[int, int]:
        """Return how many members, and how many others, meet a condition."""
        members, others = one_row(
            self.engine,
            f"""SELECT count(*) FILTER (is_member), count(*) FILTER (NOT is_member)
                FROM ({_DRAWN}) WHERE {which}""",
            dict(terms),
        )
        return int(members), int(others)

    def _draw_of_plan(self, terms: Mapping[str, Any], most: int) -> int:
        if self.changes is not None:
            self.engine.execute(
                f"""INSERT INTO of_plan SELECT trait, user_id, true
                    FROM ({_DRAWN}) SEMI JOIN {parquet_rows(self.changes)} USING (trait, user_id)
                    ORDER BY draw LIMIT $most""",
                {**terms, "most": most},
            )
        self.engine.execute("INSERT INTO of_sample SELECT trait, user_id, '' FROM of_plan")
        return int(one_row(self.engine, "SELECT count(*) FROM of_plan")[0])

    def _draw_of_state(self, terms: Mapping[str, Any], which: str, most: int) -> str:
        """Draw pairs that meet a condition, and are not of the plan's part; return the place of the last one."""
        self.engine.execute(
            f"""CREATE OR REPLACE TEMP TABLE of_state AS SELECT trait, user_id, draw
                FROM ({_DRAWN}) WHERE in_plan IS NULL AND {which} ORDER BY draw LIMIT $most""",
            {**terms, "most": most},
        )
        self.engine.execute("INSERT INTO of_sample FROM of_state")
        return str(one_row(self.engine, "SELECT coalesce(max(draw), '') FROM of_state")[0])

    def find_case_twins(self, pairs: Sequence[SampledPair]) -> set[int]:
        """Return the positions of the pairs whose user ID the ledger has in another case with another value.

        Segment may hold both as one profile (https://www.twilio.com/docs/segment/unify/profile-api).
        """
        return self._find_others(
            [(number, pair.trait, pair.user_id, pair.value) for number, pair in enumerate(pairs)],
            "lower(known.user_id) = lower(asked.user_id) AND known.user_id <> asked.user_id",
        )

    def find_other_values(self, pairs: Sequence[SampledPair], others: Sequence[tuple[int, str]]) -> set[int]:
        """Return the positions of the pairs of whose other user IDs the ledger has one with another value.

        Args:
            pairs: the pairs.
            others: positions of pairs, each with another user ID of the same profile.
        """
        return self._find_others(
            [(n, pairs[n].trait, other, pairs[n].value) for n, other in others if _is_text(other)],
            "known.user_id = asked.user_id",
        )

    def _find_others(self, asked: Sequence[tuple[int, str, str, bool]], same: str) -> set[int]:
        if not asked:
            return set()
        numbers, traits, user_ids, values = map(list, zip(*asked, strict=True))
        rows = self.engine.execute(
            f"""SELECT DISTINCT asked.number
                FROM ({pairs_query(self.snapshot)}) known JOIN (
                    SELECT unnest($1::BIGINT[]) AS number, unnest($2::VARCHAR[]) AS trait,
                           unnest($3::VARCHAR[]) AS user_id, unnest($4::BOOLEAN[]) AS value
                ) asked ON known.trait = asked.trait AND {same}
                WHERE known.in_doubt OR known.delivered IS DISTINCT FROM asked.value""",
            [numbers, traits, user_ids, values],
        )
        return {int(number) for (number,) in rows.fetchall()}


def _is_text(user_id: str) -> bool:
    try:
        user_id.encode()
    except UnicodeEncodeError:
        return False
    return True
