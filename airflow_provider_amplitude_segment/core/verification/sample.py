"""Draw the users to ask for from a ledger's state, by DuckDB.

Only pairs that are not in doubt are drawn, because the ledger promises nothing about the others. The order is a hash of
the pair and a seed. So the same commit and run draw the same users on each try, and both parts of the sample are the
first pairs of one order: of the last plan, and of the whole state. Each part is a uniform sample of its pairs, also
where the parts overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import duckdb


@dataclass(frozen=True, slots=True)
class SampledPair:
    """A pair of trait and user to ask for.

    Attributes:
        trait: the trait key.
        user_id: the user.
        value: the ledger's.
        in_plan: whether it belongs to the part of the last plan.
        in_state: whether it belongs to the part of the whole state.
        suppressed: whether Segment suppresses the user.
    """

    trait: str
    user_id: str = field(repr=False)
    value: bool
    in_plan: bool
    in_state: bool
    suppressed: bool


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

    def draw(self, size: int, seed: str) -> list[SampledPair]:
        """Return distinct pairs, half of them from the last plan as far as it has so many, the others from all."""
        drawn = f"SELECT *, md5(concat($seed, trait, chr(10), user_id)) AS draw FROM ({self._settled})"
        self.engine.execute("CREATE OR REPLACE TEMP TABLE of_plan (trait VARCHAR, user_id VARCHAR)")
        if self.changes is not None:
            self.engine.execute(
                f"""INSERT INTO of_plan SELECT trait, user_id
                    FROM ({drawn}) SEMI JOIN {parquet_rows(self.changes)} USING (trait, user_id)
                    ORDER BY draw LIMIT $size""",
                {"seed": seed, "size": size // 2},
            )
        (of_plan,) = one_row(self.engine, "SELECT count(*) FROM of_plan")
        self.engine.execute(
            f"""CREATE OR REPLACE TEMP TABLE of_state AS SELECT trait, user_id, draw
                FROM ({drawn}) ANTI JOIN of_plan USING (trait, user_id) ORDER BY draw LIMIT $size""",
            {"seed": seed, "size": size - int(of_plan)},
        )
        is_changed = "false" if self.changes is None else "changed.user_id IS NOT NULL"
        changed = (
            ""
            if self.changes is None
            else f"LEFT JOIN (SELECT DISTINCT trait, user_id FROM {parquet_rows(self.changes)} "
            "SEMI JOIN (SELECT trait, user_id FROM of_plan UNION ALL SELECT trait, user_id FROM of_state) "
            "USING (trait, user_id)) changed USING (trait, user_id)"
        )
        rows = self.engine.execute(
            f"""SELECT trait, user_id, delivered, {is_changed} AS in_plan,
                       coalesce(draw <= (SELECT max(draw) FROM of_state), true) AS in_state,
                       user_id IN (SELECT user_id FROM suppressed) AS is_suppressed
                FROM ({drawn})
                SEMI JOIN (SELECT trait, user_id FROM of_plan UNION ALL SELECT trait, user_id FROM of_state)
                USING (trait, user_id) {changed} ORDER BY draw""",
            {"seed": seed},
        )
        return [SampledPair(*row) for row in rows.fetchall()]

    def count_pairs(self) -> int:
        """Return the number of pairs that can be drawn."""
        return int(one_row(self.engine, f"SELECT count(*) FROM ({self._settled})")[0])

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
