//! Keys of ZooKeeper 3.9 that are not served: those that may be left out with a warning, and those that must not be.
//!
//! A key is refused if leaving it out would give less safety or less protection than its user believes to have.
//! Read first: [`verdict`].

/// What becomes of a key that nothing reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It asks for what holds anyway.
    Holds,
    /// It has no effect; why.
    NoEffect(&'static str),
    /// The member must not start; why.
    Refused(&'static str),
}

use Verdict::{Holds, NoEffect, Refused};

/// Judges a key that nothing reads.
pub(super) fn verdict(key: &str, value: &str) -> Verdict {
    let is_on = matches!(value, "true" | "yes" | "enabled" | "1");
    if key == "DigestAuthenticationProvider.enabled" {
        return if is_on { Holds } else { Refused("the scheme digest is always served") };
    }
    if let Some(reason) = REFUSED_WHEN_ON.iter().find(|(name, _)| *name == key).map(|(_, reason)| reason) {
        return if is_on { Refused(reason) } else { Holds };
    }
    let of = |table: &'static [(&'static str, &'static str)]| {
        table.iter().find(|(prefix, _)| key.starts_with(prefix)).map(|(_, reason)| *reason)
    };
    if let Some(reason) = of(REFUSED) {
        return Refused(reason);
    }
    if HOLDS.iter().any(|prefix| key.starts_with(prefix)) {
        return Holds;
    }
    NoEffect(of(NO_EFFECT).unwrap_or("no such key is known"))
}

const REFUSED_WHEN_ON: &[(&str, &str)] = &[
    ("sslQuorum", "traffic between members is not encrypted"),
    ("portUnification", "traffic between members is not encrypted"),
    ("quorum.auth.enableSasl", "members do not authenticate each other"),
    ("quorum.auth.learnerRequireSasl", "members do not authenticate each other"),
    ("quorum.auth.serverRequireSasl", "members do not authenticate each other"),
    ("skipACL", "ACLs are always checked; give the clients the identity that they need"),
    ("enforceQuota", "quotas are not enforced"),
    ("allowSaslFailedClients", "a client that fails to authenticate is always turned away"),
    ("isSkipACL", "ACLs are always checked"),
];

const REFUSED: &[(&str, &str)] = &[
    ("group.", "hierarchical quorums are not served: every voter would count alike"),
    ("weight.", "hierarchical quorums are not served: every voter would count alike"),
    (
        "oraclePath",
        "a two-member ensemble with an oracle is not served: both members are needed for a quorum",
    ),
    ("ssl.quorum.", "traffic between members is not encrypted"),
    ("requireClientAuthScheme", "a client must be asked for its scheme by enforce.auth.schemes"),
];

/// They ask for what holds anyway, or for a choice that there is none of.
const HOLDS: &[&str] = &[
    "autopurge.",
    "electionAlg",
    "serverCnxnFactory",
    "clientCnxnSocket",
    "preAllocSize",
    "commitLogCount",
    "fsync.warningthresholdms",
    "electionPortBindRetry",
    "cnxTimeout",
    "standaloneEnabled",
    "syncEnabled",
    "snapshot.trust.empty",
    "tcpKeepAlive",
    "admin.enableServer",
    "client.portUnification",
];

const NO_EFFECT: &[(&str, &str)] = &[
    ("admin.", "there is no AdminServer yet"),
    ("metricsProvider.", "there is no metrics endpoint yet"),
    ("ssl.", "there is no TLS yet"),
    ("secureClientPort", "there is no TLS yet"),
    ("forceSync", "every write is flushed before it is acknowledged"),
    ("localSessions", "all sessions are global"),
    ("jute.maxbuffer", "a request may have 1048575 bytes"),
    ("globalOutstandingLimit", "requests are limited per connection"),
    ("snapSizeLimitInKb", "snapshots go by the number of transactions"),
    ("leaderServes", "the leader serves clients"),
    ("observerMasterPort", "observers follow the leader"),
    ("learner.", "learners are served without a limit"),
    ("audit.", "there is no audit log yet"),
    ("DigestAuthenticationProvider.digestAlg", "digests are SHA1"),
    ("maxCnxns", "connections are limited per address (maxClientCnxns)"),
    ("clientPortListenBacklog", "the backlog is the system's"),
    ("connection", "connections are not throttled"),
    ("flushDelay", "writes that wait together are flushed together"),
    ("maxWriteQueuePollTime", "writes that wait together are flushed together"),
    ("maxBatchSize", "writes that wait together are flushed together"),
    ("znode.container.", "a container that was never used stays"),
    ("digest.enabled", "members are compared in another way"),
    ("watchManagerName", "there is one kind of watch manager"),
    ("quorum.", "members do not authenticate each other"),
    ("ssl", "there is no TLS yet"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_weaken_the_ensemble_is_refused() {
        for (key, value) in [
            ("sslQuorum", "true"),
            ("skipACL", "yes"),
            ("group.1", "1:2:3"),
            ("weight.2", "0"),
            ("quorum.auth.enableSasl", "true"),
            ("ssl.quorum.keyStore.location", "/k"),
            ("DigestAuthenticationProvider.enabled", "false"),
        ] {
            assert!(matches!(verdict(key, value), Refused(_)), "{key}={value}");
        }
        assert_eq!(verdict("sslQuorum", "false"), Holds);
        assert_eq!(verdict("autopurge.purgeInterval", "1"), Holds);
        assert_eq!(verdict("myOwnKey", "1"), NoEffect("no such key is known"));
        assert!(matches!(verdict("forceSync", "no"), NoEffect(_)), "stricter than asked");
    }
}
