"""Checkers of what clients saw. Each takes a history and raises AssertionError where it is not one that a client may see."""

from collections import Counter, defaultdict


def check_log(acknowledged, log, may_repeat=False):
    """A partition's log against what its one producer was told.

    `acknowledged`: values in the order of sending. `log`: (offset, value) in the order of offsets.
    """
    offsets = [offset for offset, _ in log]
    assert offsets == sorted(set(offsets)), "an offset came twice, or out of order"
    values = [value for _, value in log]
    missing = set(acknowledged) - set(values)
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged records are lost: {sorted(missing)[:5]}"
    twice = [value for value, count in Counter(values).items() if count > 1]
    assert may_repeat or not twice, f"{len(twice)} records are there twice: {twice[:5]}"
    numbers = [int(value) for value in values]
    assert may_repeat or numbers == sorted(numbers), "records changed their order"


def check_consumer(acknowledged, seen):
    """What a group's one member saw: by partition, (offset, value) in the order of arrival.

    It may see records again after a rebalance, but a value never changes, nothing is skipped, and everything comes.
    """
    for partition, values in acknowledged.items():
        known, top = {}, -1
        for offset, value in seen.get(partition, []):
            assert known.setdefault(offset, value) == value, f"partition {partition}: offset {offset} changed its value"
            assert offset <= top + 1, f"partition {partition}: offsets {top + 1} to {offset - 1} were skipped"
            top = max(top, offset)
        missing = set(values) - set(known.values())
        assert not missing, f"partition {partition}: {len(missing)} acknowledged records never came: {sorted(missing)[:5]}"


def check_sequence(created, present):
    """Sequential znodes of one writer: `created` are names that were acknowledged in their order; `present` are there at the end."""
    lost = [name for name in created if name not in present]
    assert not lost, f"{len(lost)} of {len(created)} acknowledged znodes are lost: {lost[:5]}"
    numbers = [int(name[-10:]) for name in created]
    assert numbers == sorted(set(numbers)), "sequence numbers do not rise"


def check_versions(acknowledged, unknown, final):
    """setData with versions on one znode by several writers, every value written once.

    `acknowledged`: (version, value) as answered; `unknown`: values whose outcome was not heard; `final`: (version, value) read at last.
    """
    by_version = defaultdict(set)
    for version, value in acknowledged:
        by_version[version].add(value)
    forked = [version for version, values in by_version.items() if len(values) > 1]
    assert not forked, f"versions {forked[:5]} were given to two writers"
    version, value = final
    newest = max(by_version, default=0)
    assert version >= newest, f"version {newest} was acknowledged, and {version} is there"
    written = len(by_version) + len(set(unknown))
    assert version <= written, f"version {version} after at most {written} writes"
    if version in by_version:
        assert value in by_version[version], f"version {version} was acknowledged with another value than {value}"
    else:
        assert value in set(unknown) or version == 0, f"nobody wrote {value} as version {version}"
