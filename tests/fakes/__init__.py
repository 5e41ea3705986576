"""Fakes that remember: an Amplitude, a Segment, a store and a clock without HTTP, disk or waiting.

world = World(tmp_path)
world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
world.sync("c1")
assert world.segment.members("Power Users (c1)") == {"ann", "bob"}
"""

from fakes.amplitude import FakeAmplitude
from fakes.clock import FakeClock, FakeRandomSource
from fakes.segment import FakeSegment
from fakes.store import FakeStore, Killed
from fakes.world import World

__all__ = ["FakeAmplitude", "FakeClock", "FakeRandomSource", "FakeSegment", "FakeStore", "Killed", "World"]
