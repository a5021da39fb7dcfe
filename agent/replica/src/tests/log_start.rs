//! Deleted records: a follower's log begins where its own or its leader's does, whichever is later, and never above what is committed.

use super::*;

/// A log that begins somewhere.
struct Cut(i64, i64);

impl LogView for Cut {
    fn start(&self) -> Offset {
        Offset(self.0)
    }

    fn end(&self) -> Offset {
        Offset(self.1)
    }

    fn epochs(&self) -> Vec<(LeaderEpoch, Offset)> {
        vec![(LeaderEpoch(1), Offset(self.0))]
    }
}

fn handle(p: &mut Partition, ms: u64, event: Event, log: &Cut) -> Vec<Action> {
    let mut out = Vec::new();
    p.handle(at(ms), event, log, &mut out);
    out
}

#[test]
fn a_leader_tells_where_its_log_begins_also_when_nothing_is_appended() {
    let mut p = leader();
    let told = |out: &[Action]| -> Vec<(MemberId, Offset)> {
        let start = |a: &Action| match a {
            Action::Send { to, message: Message::Append { log_start, .. } } => Some((*to, *log_start)),
            _ => None,
        };
        out.iter().filter_map(start).collect()
    };
    handle(&mut p, 10, Event::Tick, &Cut(0, 0));
    let event = Event::Appended {
        request: None,
        at: Offset(0),
        end: Offset(1),
        batches: batch(0),
        deadline: at(60_000),
    };
    assert_eq!(told(&handle(&mut p, 20, event, &Cut(0, 1))), [(m(1), Offset(0)), (m(2), Offset(0))]);
    let progress = |received| Message::Progress {
        leader_epoch: LeaderEpoch(1),
        received: Offset(received),
        durable: Offset(received),
    };
    for id in [1, 2] {
        handle(&mut p, 30, from(id, progress(1)), &Cut(0, 1));
    }
    let out = handle(&mut p, 50, Event::Tick, &Cut(1, 1));
    assert_eq!(told(&out), [(m(1), Offset(1)), (m(2), Offset(1))], "deleted meanwhile");
    assert_eq!(told(&handle(&mut p, 60, Event::Tick, &Cut(1, 1))), [], "told once");
}

#[test] // UnifiedLog.maybeIncrementLogStartOffset
fn a_follower_takes_over_the_later_start_up_to_its_high_watermark() {
    for (own, leaders, high_watermark, expected) in
        [(0, 3, 5, Some(3)), (0, 7, 5, Some(5)), (4, 3, 5, None), (3, 3, 5, None), (0, 0, 5, None)]
    {
        let mut p = partition(1);
        let log = Cut(own, 10);
        handle(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), &log);
        handle(&mut p, 0, from(0, hello(1, 0)), &log);
        let message = Message::Append {
            leader_epoch: LeaderEpoch(1),
            at: Offset(10),
            batches: Bytes::new(),
            high_watermark: Offset(high_watermark),
            log_start: Offset(leaders),
        };
        let out = handle(&mut p, 0, from(0, message), &log);
        let moved = out.iter().find_map(|a| if let Action::MoveLogStart(to) = a { Some(to.0) } else { None });
        assert_eq!(moved, expected, "{own} {leaders} {high_watermark}");
    }
}

/// Found by reading: retention overtook a follower that was fed from the log, the read failed, and it was never fed again.
#[test]
fn a_follower_that_retention_overtakes_begins_anew_at_the_leaders_start() {
    let mut p = leader();
    handle(&mut p, 10, Event::Tick, &Cut(0, 0));
    let position = |end| Message::Position {
        leader_epoch: LeaderEpoch(1),
        epochs: vec![(LeaderEpoch(1), Offset(0))],
        end: Offset(end),
        durable: Offset(end),
    };
    let read = |from| Action::ReadForFollower { to: m(1), from: Offset(from) };
    handle(&mut p, 20, Event::FollowerDown(m(1)), &Cut(0, 0));
    let event = Event::Appended {
        request: None,
        at: Offset(0),
        end: Offset(9),
        batches: batch(0),
        deadline: at(60_000),
    };
    handle(&mut p, 20, event, &Cut(0, 9));
    handle(&mut p, 20, Event::FollowerUp(m(1), DISK), &Cut(0, 9));
    assert_eq!(handle(&mut p, 20, from(1, position(2)), &Cut(0, 9)), [read(2)]);
    let mut out = Vec::new();
    p.read_failed(m(1), Offset(2), &mut out);
    assert_eq!(out, [], "not in a circle");
    let greeting = Action::Send { to: m(1), message: hello(1, 0) };
    assert!(handle(&mut p, 200, Event::Tick, &Cut(5, 9)).contains(&greeting));
    let cut = Message::Truncate { leader_epoch: LeaderEpoch(1), to: Offset(5), restart: true };
    let expected = [Action::Send { to: m(1), message: cut }, read(5)];
    assert_eq!(handle(&mut p, 210, from(1, position(2)), &Cut(5, 9)), expected);
    // A read that waited for the rate since before says nothing of this position: the one that counts is asked for.
    p.read_failed(m(1), Offset(2), &mut out);
    assert_eq!(out, [read(5)]);
    out.clear();
    p.send_read(m(1), Offset(5), Offset(6), batch(5), &mut out);
    assert!(
        matches!(&out[0], Action::Send { message: Message::Append { at: Offset(5), .. }, .. }),
        "{out:?}"
    );
}
