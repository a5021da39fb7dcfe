//! A follower whose disk is full: it promises nothing, leaves the ISR, and comes back when there is room.

use super::*;

fn append(at: i64, batches: Bytes, high_watermark: i64) -> Message {
    Message::Append {
        leader_epoch: LeaderEpoch(1),
        at: Offset(at),
        batches,
        high_watermark: Offset(high_watermark),
        log_start: Offset::ZERO,
    }
}

const STALLED: Message = Message::Stalled { leader_epoch: LeaderEpoch(1) };

/// Member 1 follows, holds one record, and is asked to append another.
fn follower_without_room() -> Partition {
    let mut p = partition(1);
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 0);
    step(&mut p, 0, from(0, hello(1, 0)), 0);
    step(&mut p, 0, from(0, append(0, batch(0), 0)), 1);
    let out = step(&mut p, 0, from(0, append(1, batch(1), 2)), 1);
    assert_eq!(out[0], Action::Append { at: Offset(1), batches: batch(1) });
    p
}

#[test]
fn a_follower_takes_back_what_it_could_not_write_and_answers_no_greeting() {
    let mut p = follower_without_room();
    let out = step(&mut p, 0, Event::DiskFull, 1);
    assert_eq!(out, [Action::Send { to: m(0), message: STALLED }]);
    assert_eq!((p.progress().received, p.high_watermark()), (Offset(1), Offset(1)), "not what was promised");
    for message in [append(2, batch(2), 2), append(1, batch(1), 2), append(1, Bytes::new(), 2), hello(1, 0)] {
        assert_eq!(step(&mut p, 10, from(0, message), 1), [], "nothing counts until there is room");
    }
    assert_eq!(step(&mut p, 10, Event::DiskHasRoom, 1), []);
    assert_eq!(step(&mut p, 20, from(0, append(1, batch(1), 2)), 1), [], "sent before the next greeting");
    let out = step(&mut p, 20, from(0, hello(1, 0)), 1);
    let is_position =
        |a: &Action| matches!(a, Action::Send { message: Message::Position { end: Offset(1), .. }, .. });
    assert!(out.iter().any(is_position), "{out:?}");
    let out = step(&mut p, 30, from(0, append(1, batch(1), 2)), 2);
    assert!(out.contains(&Action::Append { at: Offset(1), batches: batch(1) }), "{out:?}");
}

/// Found by reading: the note was asked for together with the append that found no room, was dropped with it, and never asked for again.
#[test]
fn a_note_that_a_full_disk_swallowed_is_asked_for_again() {
    let mut p = partition(1);
    step(&mut p, 0, Event::Assigned(assignment(0, 1, &[0, 1, 2])), 0);
    step(&mut p, 0, from(0, hello(1, 0)), 0);
    let settle = Action::Settle(LeaderEpoch(1));
    let out = step(&mut p, 0, from(0, append(0, batch(0), 0)), 0);
    assert_eq!((&out[0], out.last()), (&Action::Append { at: Offset(0), batches: batch(0) }, Some(&settle)));
    step(&mut p, 0, Event::DiskFull, 0);
    step(&mut p, 10, Event::DiskHasRoom, 0);
    step(&mut p, 10, from(0, hello(1, 0)), 0);
    let out = step(&mut p, 10, from(0, append(0, batch(0), 0)), 1);
    assert!(out.contains(&settle), "{out:?}");
}

#[test]
fn a_cut_that_found_no_room_is_made_after_the_next_greeting() {
    let mut p = follower_without_room();
    step(&mut p, 0, Event::DiskFull, 1);
    step(&mut p, 0, Event::DiskHasRoom, 1);
    step(&mut p, 0, from(0, hello(1, 0)), 1);
    let cut = Message::Truncate { leader_epoch: LeaderEpoch(1), to: Offset(0), restart: false };
    assert!(
        step(&mut p, 0, from(0, cut.clone()), 1)
            .contains(&Action::Truncate { to: Offset(0), restart: false })
    );
    let out = step(&mut p, 0, Event::DiskFull, 1);
    assert_eq!(out, [Action::Send { to: m(0), message: STALLED }]);
    assert_eq!(p.progress(), crate::high_watermark::Progress { received: Offset(1), durable: Offset(0) });
    assert_eq!(p.high_watermark(), Offset(0));
    step(&mut p, 0, Event::DiskHasRoom, 1);
    step(&mut p, 0, from(0, hello(1, 0)), 1);
    assert!(step(&mut p, 0, from(0, cut), 1).contains(&Action::Truncate { to: Offset(0), restart: false }));
}

#[test]
fn a_leader_greets_a_stalled_follower_and_takes_it_out_of_the_isr() {
    let mut p = leader();
    let appended = |at: i64| Event::Appended {
        request: None,
        at: Offset(at),
        end: Offset(at + 1),
        batches: batch(at),
        deadline: super::at(60_000),
    };
    let out = step(&mut p, 10, appended(0), 1);
    let sends = |out: &[Action], to: i32| {
        out.iter().filter(|a| matches!(a, Action::Send { to: id, .. } if *id == m(to))).count()
    };
    assert_eq!((sends(&out, 1), sends(&out, 2)), (1, 1));
    step(&mut p, 20, from(1, STALLED), 1);
    let out = step(&mut p, 30, appended(1), 2);
    assert_eq!((sends(&out, 1), sends(&out, 2)), (0, 1), "nothing is sent to one that takes nothing");
    let out = step(&mut p, 200, Event::Tick, 2);
    assert!(out.contains(&Action::Send { to: m(1), message: hello(1, 0) }), "{out:?}");
    let mut proposed = Vec::new();
    for ms in (300..2500).step_by(100) {
        let progress =
            Message::Progress { leader_epoch: LeaderEpoch(1), received: Offset(2), durable: Offset(2) };
        step(&mut p, ms, from(2, progress), 2);
        let out = step(&mut p, ms, Event::Tick, 2);
        proposed.extend(
            out.into_iter()
                .filter_map(|a| if let Action::ProposeIsr { isr, .. } = a { Some(isr) } else { None }),
        );
    }
    assert_eq!(proposed.first(), Some(&vec![m(0), m(2)]));
}
