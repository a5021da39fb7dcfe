//! ZooKeeper's settings of one member, under ZooKeeper's names. Where they come from (an agent's file, a `zoo.cfg`) is the shell's.
//!
//! Read first: [`Settings`].

use std::collections::BTreeMap;
use std::time::Duration;

/// ZooKeeper's settings of one member.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `tickTime`, milliseconds.
    pub tick_time_ms: i32,
    /// `minSessionTimeout`, milliseconds.
    pub min_session_timeout_ms: i32,
    /// `maxSessionTimeout`, milliseconds.
    pub max_session_timeout_ms: i32,
    /// `maxClientCnxns`: connections from one address; 0 for no limit.
    pub max_client_cnxns: usize,
    /// `4lw.commands.whitelist`: the 4-letter words that are answered; `*` for all.
    pub words: Vec<String>,
    /// `reconfigEnabled`: clients with WRITE on `/zookeeper/config` may change the ensemble.
    pub reconfig_enabled: bool,
    /// False for a server that was started without server lines: it has no ensemble to change.
    pub is_replicated: bool,
    /// `DigestAuthenticationProvider.superDigest`, `user:hash`: who authenticates so may do everything.
    pub super_digest: Option<String>,
    /// Users of SASL DIGEST-MD5 with their passwords, from a JAAS file; SASL is refused when there are none.
    pub sasl_users: BTreeMap<String, String>,
    /// `superUser`: a user of SASL that may do everything.
    pub super_user: Option<String>,
    /// `enforce.auth.schemes`: a client must have authenticated by one of them before anything else; none when empty.
    pub required_schemes: Vec<String>,
    /// `extendedTypesEnabled`: TTL nodes are served.
    pub extended_types: bool,
    /// `znode.container.checkIntervalMs`: containers and TTL nodes are looked at this often.
    pub container_check: Duration,
    /// `znode.container.maxPerMinute`: so many of them are ended in a minute at most.
    pub containers_per_minute_max: usize,
}

impl Settings {
    /// ZooKeeper's defaults for a `tickTime`: sessions last 2 to 20 ticks.
    pub fn new(tick_time_ms: i32) -> Self {
        Self {
            tick_time_ms,
            min_session_timeout_ms: tick_time_ms.saturating_mul(2),
            max_session_timeout_ms: tick_time_ms.saturating_mul(20),
            max_client_cnxns: 60,
            words: vec!["srvr".to_owned()],
            reconfig_enabled: false,
            is_replicated: true,
            super_digest: None,
            sasl_users: BTreeMap::new(),
            super_user: None,
            required_schemes: Vec::new(),
            extended_types: false,
            container_check: Duration::from_secs(60),
            containers_per_minute_max: 10_000,
        }
    }

    /// The timeout that a client gets for the one it asks for.
    pub(crate) fn session_timeout_ms(&self, asked_ms: i32) -> i32 {
        asked_ms.max(self.min_session_timeout_ms).min(self.max_session_timeout_ms)
    }
}

/// Refuses a setting of `broker.config` that no broker knows, or a value that it cannot have; the text names the key.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn check_broker_setting(name: &str, value: &str) -> Result<(), String> {
    streamkeeper_controller::check_broker(name, value).map_err(|error| error.message)
}

/// Refuses a setting that a broker that runs cannot be told, or a value that it cannot have; the text names the key.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn check_dynamic_setting(name: &str, value: &str) -> Result<(), String> {
    streamkeeper_controller::check_dynamic(name, value).map_err(|error| error.message)
}

/// A setting of `broker.config` that is read when an agent starts, and never again.
pub fn is_read_at_start(name: &str) -> bool {
    streamkeeper_controller::is_read_only(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // ZooKeeperServer.getMinSessionTimeout, getMaxSessionTimeout
    fn a_session_lasts_2_to_20_ticks() {
        let settings = Settings::new(2000);
        let granted: Vec<i32> =
            [-1, 0, 4000, 10_000, i32::MAX].map(|t| settings.session_timeout_ms(t)).into();
        assert_eq!(granted, [4000, 4000, 4000, 10_000, 40_000]);
    }
}
