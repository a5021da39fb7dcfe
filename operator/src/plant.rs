//! Known bugs of operators, planted on purpose to prove that the model of a cluster finds them (`kubernetes/tests`). Only builds of
//! this crate's own tests have them; everywhere else [`is_planted`] is a constant `false` that the compiler removes.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// ZooKeeper operator 312, 314 (Sieve): a claim that a cache does not know is taken for a lost disk.
    CachedLoss,
    /// A pod is deleted by the picture of a cache.
    CachedPod,
    /// A number that is given again gets its old disk.
    ReusedDisk,
    /// A member is restarted without asking the agents.
    UnprovenRestart,
    /// A member's pod goes before the ensemble has let the member go.
    EarlyRetirement,
    /// A refused specification is carried out as far as it goes.
    RefusedAndDone,
    /// The status is written whether or not it says anything new.
    ChattyStatus,
    /// The lease is believed in for longer than it lasts.
    LongLease,
    /// What is paused is changed all the same.
    PauseIgnored,
    /// An object of somebody else under a name that is needed is taken.
    TakesForeign,
    /// Whoever votes is as many as by default.
    VotersByDefault,
    /// Objects are told to be the ensemble's by its name alone, which others label theirs with as well.
    SharedLabel,
    /// Volumes are given to an Ensemble whose policy is of long ago.
    CachedPolicy,
    /// A member is noted to serve with the volume that a cache knows.
    CachedVolume,
    /// Volumes that shall go with the Ensemble are not given to it.
    KeptVolumes,
    /// Volumes that are being deleted are taken for those of members.
    DyingVolumes,
    /// A topic that is being deleted is not let go without its ensemble.
    HeldForEver,
    /// A topic is deleted by its name, whoever made it.
    DeletedByName,
    /// Deletions of topics count only as far as they come together.
    UncountedDeletions,
}

#[cfg(test)]
pub(crate) use planted::{is_planted, set};

/// False: this build has no planted bugs.
#[cfg(not(test))]
pub(crate) const fn is_planted(_plant: Plant) -> bool {
    false
}

#[cfg(test)]
mod planted {
    use std::cell::Cell;

    use super::Plant;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
    }

    impl Plant {
        /// Those that seeds find. The others are rare by chance, and found by a test of their own.
        pub(crate) const ALL: [Self; 16] = [
            Self::CachedLoss,
            Self::CachedPod,
            Self::ReusedDisk,
            Self::UnprovenRestart,
            Self::EarlyRetirement,
            Self::RefusedAndDone,
            Self::ChattyStatus,
            Self::LongLease,
            Self::PauseIgnored,
            Self::TakesForeign,
            Self::VotersByDefault,
            Self::SharedLabel,
            Self::CachedPolicy,
            Self::KeptVolumes,
            Self::DyingVolumes,
            Self::HeldForEver,
        ];
    }

    /// Plants a bug for this thread, or none.
    pub(crate) fn set(plant: Option<Plant>) {
        PLANTED.with(|planted| planted.set(plant));
    }

    /// True if the bug is planted.
    pub(crate) fn is_planted(plant: Plant) -> bool {
        PLANTED.with(|planted| planted.get() == Some(plant))
    }
}
