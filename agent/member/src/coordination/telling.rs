//! What the broker is told of the cluster image, and when: only what this member cannot forget.
//!
//! A member that crashes comes back with what its log holds, and knows again what of it is committed once it is in step with a quorum
//! leader. A broker that had acted on more, or that acted on the old image meanwhile, would follow leaders of terms that it
//! has left, and cut records that it helped to acknowledge. Must not know: what the notices mean. Read first: [`Telling`].

use std::collections::VecDeque;

use streamkeeper_base::Zxid;

use crate::message::FromCoordination;

/// What must be on disk before a notice goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Every log record up to this ticket.
    Ticket(u64),
    /// A snapshot that replaced the state.
    Snapshot(Zxid),
}

/// Notices to the broker, in order.
#[derive(Debug, Default)]
pub(super) struct Telling {
    appended: u64,
    persisted: u64,
    /// Set once this member was in step with a quorum leader in this run; images only move forward from there.
    is_in_step: bool,
    installing: Option<Zxid>,
    waiting: VecDeque<(Needs, FromCoordination)>,
}

impl Telling {
    /// A record went to the log.
    pub(super) fn appended(&mut self, ticket: u64) {
        self.appended = self.appended.max(ticket);
    }

    /// Everything up to a record is on disk.
    pub(super) fn persisted(&mut self, ticket: u64) {
        self.persisted = self.persisted.max(ticket);
    }

    /// The state is being replaced by a snapshot.
    pub(super) fn installing(&mut self, zxid: Zxid) {
        self.installing = Some(zxid);
    }

    /// The snapshot is on disk, and the record that says so is in the log.
    pub(super) fn installed(&mut self, zxid: Zxid) {
        self.installing.take_if(|installing| *installing == zxid);
        let ticket = Needs::Ticket(self.appended);
        let of_it = |needs: &&mut Needs| **needs == Needs::Snapshot(zxid);
        self.waiting.iter_mut().map(|(needs, _)| needs).filter(of_it).for_each(|needs| *needs = ticket);
    }

    /// This member is in step with a quorum leader, and what that one said to be committed is applied. True if that is news:
    /// the image as it is now is the first to be told.
    pub(super) fn in_step(&mut self) -> bool {
        !std::mem::replace(&mut self.is_in_step, true)
    }

    /// A notice that tells of the state as it is now.
    pub(super) fn tell(&mut self, notice: FromCoordination) {
        if !self.is_in_step && matches!(notice, FromCoordination::Image(_)) {
            // The run before this one may have acted on a newer one.
            return;
        }
        let needs = self.installing.map_or(Needs::Ticket(self.appended), Needs::Snapshot);
        self.waiting.push_back((needs, notice));
    }

    /// What may go out now. Of several images only the newest does, ahead of the answers that were given meanwhile.
    pub(super) fn release(&mut self) -> Vec<FromCoordination> {
        let (mut image, mut others) = (None, Vec::new());
        let persisted = self.persisted;
        let is_due = |needs: Needs| matches!(needs, Needs::Ticket(ticket) if ticket <= persisted);
        while self.is_in_step
            && let Some((_, notice)) = self.waiting.pop_front_if(|(needs, _)| is_due(*needs))
        {
            match notice {
                FromCoordination::Image(_) => image = Some(notice),
                FromCoordination::Answered { .. }
                | FromCoordination::Peers(_)
                | FromCoordination::Status(_)
                | FromCoordination::Identified(_)
                | FromCoordination::Surveyed { .. }
                | FromCoordination::HandedOver => others.push(notice),
            }
        }
        image.into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use streamkeeper_controller::{ClusterImage, Outcome};

    use super::*;
    use crate::message::Asker;

    fn image(next_producer_id: i64) -> FromCoordination {
        FromCoordination::Image(Arc::new(ClusterImage { next_producer_id, ..ClusterImage::default() }))
    }

    fn answer(token: u64) -> FromCoordination {
        FromCoordination::Answered { token, asker: Asker::Broker, answer: Ok(Outcome::Done) }
    }

    /// Images by their content, answers by their token.
    fn names(notices: &[FromCoordination]) -> Vec<String> {
        let name = |notice: &FromCoordination| match notice {
            FromCoordination::Image(image) => format!("image {}", image.next_producer_id),
            FromCoordination::Answered { token, .. } => format!("answer {token}"),
            other => format!("{other:?}"),
        };
        notices.iter().map(name).collect()
    }

    #[test]
    fn nothing_is_told_before_the_member_is_in_step() {
        let mut telling = Telling::default();
        telling.tell(image(1));
        assert!(telling.release().is_empty(), "an earlier run may have acted on a newer one");
        assert!(telling.in_step());
        assert!(!telling.in_step(), "it is news once");
        assert!(telling.release().is_empty(), "what was said before does not count");
        telling.tell(image(2));
        assert_eq!(names(&telling.release()), ["image 2"]);
    }

    #[test]
    fn an_image_waits_for_its_record_and_answers_for_the_image() {
        let mut telling = Telling::default();
        assert!(telling.in_step());
        telling.appended(1);
        telling.tell(image(1));
        telling.tell(answer(1));
        telling.appended(2);
        telling.tell(image(2));
        telling.tell(answer(2));
        telling.appended(3);
        telling.tell(image(3));
        assert!(telling.release().is_empty());
        telling.persisted(2);
        assert_eq!(names(&telling.release()), ["image 2", "answer 1", "answer 2"]);
        telling.persisted(3);
        assert_eq!(names(&telling.release()), ["image 3"]);
    }

    #[test]
    fn an_installed_image_waits_for_its_snapshot_and_the_record_of_it() {
        let mut telling = Telling::default();
        assert!(telling.in_step());
        telling.installing(Zxid(7));
        telling.tell(image(1));
        telling.persisted(9);
        assert!(telling.release().is_empty());
        telling.appended(10);
        telling.installed(Zxid(7));
        assert!(telling.release().is_empty());
        telling.persisted(10);
        assert_eq!(names(&telling.release()), ["image 1"]);
    }
}
