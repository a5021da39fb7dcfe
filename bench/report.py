"""Turns the lines of results into one Markdown table per part: medians, spread, ratio of pairs, goals."""

import statistics
from functools import partial

import points


def figure(summary, path):
    """A figure of a result by its path; latencies are those of the first kind of operation."""
    if path in (points.P50, points.P99, points.P999):
        return summary["latency"][0][path] if summary.get("latency") else None
    value = summary
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def verdict(path, ratios, goal):
    if goal is None or not ratios:
        return ""
    median = statistics.median(ratios)
    met = median <= goal if path in points.LESS else median >= goal
    sign = "≤" if path in points.LESS else "≥"
    return f"{sign} {goal:g}" + ("" if met else " **missed**")


def rows(name, shown, goals, ours, peer):
    """One row per figure; `ours` and `peer` are results in the order in which they were measured."""
    for path in shown:
        left = [v for v in (figure(s, path) for s in ours) if v is not None]
        right = [v for v in (figure(s, path) for s in peer) if v is not None]
        if not left and not right:
            continue
        ratios = [a / b for a, b in zip(left, right) if b]
        yield (name, points.TITLES[path], spread(left), spread(right), spread(ratios), verdict(path, ratios, goals.get(path)))
        name = ""


def measured(results, side, point, variant=""):
    """What one side did at a point, in the order in which it was measured."""
    return [r["summary"] for r in results if (r["side"], r["point"], r["variant"]) == (side, point, variant)]


def table(part, results):
    """The table of a part. A result is {"side", "variant", "point", "summary"}."""
    of = partial(measured, results)
    lines = []
    if part == "kafka":
        for point in points.KAFKA:
            ours = of("ours", point.name)
            if point.both_flushes:
                lines += rows(f"{point.name}; Kafka with fsync", point.shown, point.goals, ours, of("Kafka", point.name, "fsync"))
                shown = [f for f in point.shown if f in (points.MB, points.P99, points.CPU_GB, points.CPU_OPS)]
                lines += rows(f"{point.name}; Kafka without fsync", shown, {}, ours, of("Kafka", point.name))
            else:
                lines += rows(point.name, point.shown, point.goals, ours, of("Kafka", point.name))
    elif part == "zookeeper":
        for point in points.ZOOKEEPER:
            lines += rows(point.name, point.shown, point.goals, of("ours", point.name), of("ZooKeeper", point.name))
    peer = {"kafka": "Kafka", "zookeeper": "ZooKeeper"}.get(part)
    if peer:
        lines += rows("idle, three members", ["cpu_percent", "rss_mb"], {"rss_mb": 0.1, "cpu_percent": 0.1},
                      of("ours", "idle"), of(peer, "idle"))
    if part == "gap":
        for what, other in (("write gap after kill -9, Kafka's protocol", "Kafka"),
                           ("write gap after kill -9 of the leader, ZooKeeper's protocol", "ZooKeeper")):
            lines += rows(what, ["gap_ms"], {}, of("ours", what), of(other, what))
    return markdown(["measured", "figure", "ours", peer or "peer", "ratio", "goal"], lines)


def markdown(head, lines):
    text = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in text)


def summary(part, results):
    """One row per point: what it is about, how many times as much that is, and latency and CPU beside it."""
    of = partial(measured, results)

    def row(name, point, ours, peer):
        main = point.shown[0] if point.shown[0] != points.P50 else points.P99
        others = [next((f for f in point.shown if f in which and f != main), None)
                  for which in ((points.P99,), (points.CPU_GB, points.CPU_OPS))]
        cells = [list(rows(name, [f], point.goals, ours, peer)) if f else [] for f in (main, *others)]
        (_, title, left, right, ratio, goal), *beside = [c[0] if c else ("",) * 6 for c in cells]
        return (name, f"{left} {title}", f"{right} {title}", ratio, *(f"{b[2]} / {b[3]}" if b[2] else "" for b in beside), goal)

    if part == "gap":
        return table(part, results)
    lines = []
    peer = "Kafka" if part == "kafka" else "ZooKeeper"
    for point in points.KAFKA if part == "kafka" else points.ZOOKEEPER:
        ours = of("ours", point.name)
        if point.both_flushes:
            lines.append(row(f"{point.name}; Kafka with fsync", point, ours, of(peer, point.name, "fsync")))
            lines.append((*row(f"{point.name}; Kafka without fsync", point, ours, of(peer, point.name))[:-1], ""))
        else:
            lines.append(row(point.name, point, ours, of(peer, point.name)))
    return markdown(["measured", "ours", peer, "ratio", "p99 ms: ours / theirs", "CPU s: ours / theirs", "goal"], lines)
