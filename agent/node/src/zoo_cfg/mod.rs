//! `zoo.cfg`: a member of an ensemble from ZooKeeper's own configuration, unmodified (QuorumPeerConfig).
//!
//! Must not know: how a member runs. The parts: `entries` (what is said, and where), `keys` (what is not served), `read` (files).
//! Read first: [`ZooCfg`], [`parse`].

mod entries;
mod jaas;
mod keys;
mod read;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use streamkeeper_base::limits::SNAPSHOT_EVERY_TXNS;
use streamkeeper_base::server_line::ClientPart;
use streamkeeper_base::{MemberId, ServerLine};
use streamkeeper_member::settings::Settings;

use entries::{Entries, Entry};
use keys::{Verdict, verdict};
pub use read::load;

/// What a `zoo.cfg` says, checked.
#[derive(Clone, Debug)]
pub struct ZooCfg {
    /// This member.
    pub member: MemberId,
    /// All servers with this one among them; a standalone server is an ensemble of one.
    pub servers: Vec<ServerLine>,
    /// `dataDir`.
    pub data_dir: PathBuf,
    /// `dataLogDir`, if it is another one.
    pub data_log_dir: Option<PathBuf>,
    /// Where clients are served: host and port; an empty host is every address.
    pub client: Option<(String, u16)>,
    /// `quorumListenOnAllIPs`: peers are awaited on every address.
    pub quorum_listen_on_all: bool,
    /// Settings of ZooKeeper's side.
    pub settings: Settings,
    /// `syncLimit`: leader and follower part when they hear nothing for longer.
    pub sync_limit: Duration,
    /// `initLimit`: synchronization may take this long.
    pub init_limit: Duration,
    /// `snapCount`: transactions between two snapshots.
    pub snapshot_every_txns: u64,
    /// Keys without effect: file, line, key and why.
    pub warnings: Vec<String>,
}

impl ZooCfg {
    /// The line of this server; there is always one.
    pub fn own_line(&self) -> &ServerLine {
        self.servers.iter().find(|line| line.id == self.member).expect("parsing has made sure of it")
    }
}

/// What is read besides the file itself.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// The file's name, for messages.
    pub name: &'a str,
    /// The file.
    pub text: &'a str,
    /// The name and content of the file that `dynamicConfigFile` names.
    pub dynamic: Option<(&'a str, &'a str)>,
    /// The content of `dataDir/myid`.
    pub myid: Option<&'a str>,
    /// The name and content of the JAAS file that `java.security.auth.login.config` names.
    pub jaas: Option<(&'a str, &'a str)>,
    /// System properties, `name=value`.
    pub properties: &'a [String],
}

/// Reads a configuration.
///
/// # Errors
/// All that is wrong, one sentence each, with file and line.
pub fn parse(sources: &Sources<'_>) -> Result<ZooCfg, Vec<String>> {
    let mut entries = Entries::default();
    let files = std::iter::once((sources.name, sources.text)).chain(sources.dynamic);
    let mut errors: Vec<String> =
        files.filter_map(|(name, text)| entries.add_file(name, text).err()).collect();
    errors.extend(sources.properties.iter().filter_map(|property| entries.add_property(property).err()));
    let mut interpreter = Interpreter { name: sources.name, entries, errors, warnings: Vec::new() };
    let parsed = interpreter.run(sources);
    match parsed {
        Some(cfg) if interpreter.errors.is_empty() => Ok(cfg),
        Some(_) | None => Err(interpreter.errors),
    }
}

struct Interpreter<'a> {
    name: &'a str,
    entries: Entries,
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// Which file has the users of SASL.
const JAAS_FILE: &str = "java.security.auth.login.config";

const SERVED_PROVIDERS: [&str; 3] =
    ["SASLAuthenticationProvider", "DigestAuthenticationProvider", "IPAuthenticationProvider"];

/// ZooKeeper's default of `tickTime`.
const TICK_MS_DEFAULT: i32 = 3000;

impl Interpreter<'_> {
    fn run(&mut self, sources: &Sources<'_>) -> Option<ZooCfg> {
        let data_dir = self.path("dataDir");
        if data_dir.is_none() {
            self.errors
                .push(format!("{}: dataDir is missing; it is where the member keeps its data", self.name));
        }
        let data_log_dir = self.path("dataLogDir").filter(|dir| Some(dir) != data_dir.as_ref());
        let mut settings = self.settings();
        self.authentication(&mut settings, sources.jaas);
        let tick = Duration::from_millis(u64::try_from(settings.tick_time_ms).unwrap_or(0));
        let listed = self.servers();
        settings.is_replicated = !listed.is_empty();
        let init_limit = self.limit("initLimit", 10, !listed.is_empty());
        let sync_limit = self.limit("syncLimit", 5, !listed.is_empty());
        let quorum_listen_on_all = self.switch("quorumListenOnAllIPs", false);
        let snapshot_every_txns = self.number("snapCount", 2..=u64::MAX)?.unwrap_or(SNAPSHOT_EVERY_TXNS);
        let (member, servers, client) = self.place(listed, sources.myid)?;
        self.judge_the_rest();
        Some(ZooCfg {
            member,
            servers,
            data_dir: data_dir?,
            data_log_dir,
            client,
            quorum_listen_on_all,
            settings,
            sync_limit: tick * sync_limit,
            init_limit: tick * init_limit,
            snapshot_every_txns,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    fn settings(&mut self) -> Settings {
        let tick = self.number("tickTime", 1..=i32::MAX).flatten().unwrap_or(TICK_MS_DEFAULT);
        let mut settings = Settings::new(tick);
        // -1 is ZooKeeper's own way to write the default.
        let bound =
            |me: &mut Self, key| me.number::<i32>(key, -1..=i32::MAX).flatten().filter(|ms| *ms != -1);
        let (min, max) = (bound(self, "minSessionTimeout"), bound(self, "maxSessionTimeout"));
        settings.min_session_timeout_ms = min.unwrap_or(settings.min_session_timeout_ms);
        settings.max_session_timeout_ms = max.unwrap_or(settings.max_session_timeout_ms);
        if settings.min_session_timeout_ms > settings.max_session_timeout_ms {
            self.errors.push(format!(
                "{}: minSessionTimeout {} is above maxSessionTimeout {}",
                self.name, settings.min_session_timeout_ms, settings.max_session_timeout_ms
            ));
        }
        if let Some(limit) = self.number("maxClientCnxns", 0..=usize::MAX).flatten() {
            settings.max_client_cnxns = limit;
        }
        if let Some(words) = self.entries.take("4lw.commands.whitelist") {
            settings.words = words.value.split(',').map(|word| word.trim().to_owned()).collect();
        }
        settings.reconfig_enabled = self.switch("reconfigEnabled", false);
        settings.extended_types = self.switch("extendedTypesEnabled", false);
        let container = "znode.container.";
        if let Some(ms) = self.number(&format!("{container}checkIntervalMs"), 1..=u64::MAX).flatten() {
            settings.container_check = Duration::from_millis(ms);
        }
        if let Some(most) = self.number(&format!("{container}maxPerMinute"), 1..=usize::MAX).flatten() {
            settings.containers_per_minute_max = most;
        }
        settings
    }

    /// Who clients may prove to be, and must.
    fn authentication(&mut self, settings: &mut Settings, jaas: Option<(&str, &str)>) {
        let text = |me: &mut Self, key: &str| me.entries.take(key).map(|entry| entry.value);
        settings.super_digest = text(self, "DigestAuthenticationProvider.superDigest");
        settings.super_user = text(self, "superUser");
        let section = text(self, "sasl.serverconfig").unwrap_or_else(|| "Server".to_owned());
        drop(self.entries.take(JAAS_FILE));
        match jaas.map(|(file, text)| jaas::users(file, text, &section)) {
            Some(Ok(Some(found))) => {
                settings.sasl_users = found.users;
                let unserved = |module| {
                    format!("{section} of the JAAS file: {module} has no effect: DIGEST-MD5 alone is served")
                };
                self.warnings.extend(found.others.into_iter().map(unserved));
            }
            Some(Err(reason)) => self.errors.push(reason),
            Some(Ok(None)) | None => {}
        }
        let schemes = text(self, "enforce.auth.schemes").unwrap_or_default();
        let named = schemes.split(',').map(str::trim).filter(|scheme| !scheme.is_empty()).map(str::to_owned);
        if self.switch("enforce.auth.enabled", false) {
            settings.required_schemes = named.collect();
            if settings.required_schemes.is_empty() {
                self.errors.push(format!("{}: enforce.auth.enabled needs enforce.auth.schemes", self.name));
            }
        }
        if self.switch("sessionRequireClientSASLAuth", false) {
            settings.required_schemes = vec!["sasl".to_owned()];
        }
        for (number, Entry { value, at }) in self.entries.take_all("authProvider.") {
            let class = value.rsplit('.').next().unwrap_or_default();
            if !SERVED_PROVIDERS.contains(&class) {
                self.warnings.push(format!("{at}: authProvider.{number} has no effect: {class} is not served, ACLs of its scheme are refused"));
            }
        }
    }

    /// The server lines, in order of their numbers.
    fn servers(&mut self) -> Vec<ServerLine> {
        // The version of a dynamic file: what the ensemble itself knows is newer or equal.
        drop(self.entries.take("version"));
        drop(self.entries.take("dynamicConfigFile"));
        let mut servers = Vec::new();
        for (id, entry) in self.entries.take_all("server.") {
            let line = ServerLine::parse_id(&id).and_then(|id| ServerLine::parse_value(id, &entry.value));
            match line {
                Ok(line) if ServerLine::may_be(line.id) => servers.push(line),
                Ok(_) => {
                    let most = ServerLine::ID_MAX;
                    self.errors.push(format!(
                        "{}: server.{id}: the greatest number of a server is {most}",
                        entry.at
                    ));
                }
                Err(reason) => self.errors.push(format!("{}: server.{id}: {reason}", entry.at)),
            }
        }
        servers.sort_by_key(|line| line.id);
        if !servers.is_empty() && servers.iter().all(|line| line.observer) {
            self.errors.push(format!("{}: every server is an observer; at least one must vote", self.name));
        }
        servers
    }

    /// Which of the servers this one is, and where it serves clients.
    #[allow(clippy::type_complexity, reason = "the parts go straight into ZooCfg")]
    fn place(
        &mut self,
        mut servers: Vec<ServerLine>,
        myid: Option<&str>,
    ) -> Option<(MemberId, Vec<ServerLine>, Option<(String, u16)>)> {
        let port = self.number("clientPort", 1..=u16::MAX)?;
        let host = self.entries.take("clientPortAddress").map(|entry| entry.value).unwrap_or_default();
        let mut client = port.map(|port| (host, port));
        drop(self.entries.take("peerType"));
        let member = match myid.map(ServerLine::parse_id) {
            Some(Ok(id)) if ServerLine::may_be(id) => id,
            Some(Ok(id)) => {
                let most = ServerLine::ID_MAX;
                return self.fail(format!("dataDir/myid: {id}: the greatest number of a server is {most}"));
            }
            Some(Err(reason)) => return self.fail(format!("dataDir/myid: {reason}")),
            None if servers.is_empty() => MemberId(1),
            None => {
                return self.fail(
                    "dataDir/myid is missing: it says which of the server lines is this server".to_owned(),
                );
            }
        };
        if servers.is_empty() {
            servers.push(standalone(member, client.as_ref()));
        }
        let Some(own) = servers.iter().find(|line| line.id == member) else {
            return self.fail(format!(
                "{}: there is no server.{member}, which dataDir/myid says that this is",
                self.name
            ));
        };
        if let Some(part) = &own.client {
            if client.as_ref().is_some_and(|(_, port)| *port != part.port) {
                return self
                    .fail(format!("{}: clientPort is not the client port of server.{member}", self.name));
            }
            client = Some((part.host.clone(), part.port));
        }
        if client.is_none() {
            self.errors.push(format!("{}: clientPort is missing; clients could not connect", self.name));
        }
        Some((member, servers, client))
    }

    fn fail<T>(&mut self, error: String) -> Option<T> {
        self.errors.push(error);
        None
    }

    fn judge_the_rest(&mut self) {
        for (key, Entry { value, at }) in std::mem::take(&mut self.entries).rest() {
            match verdict(&key, &value) {
                Verdict::Holds => {}
                Verdict::NoEffect(why) => self.warnings.push(format!("{at}: {key} has no effect: {why}")),
                Verdict::Refused(why) => {
                    self.errors.push(format!(
                        "{at}: {key}={value} is not served: {why}; remove it to start without it"
                    ));
                }
            }
        }
    }

    fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.entries.take(key).filter(|entry| !entry.value.is_empty()).map(|entry| entry.value.into())
    }

    /// A number; `None` if it is wrong, which is noted, `Some(None)` if it is not there.
    #[allow(clippy::option_option, reason = "absent and wrong are different things here")]
    fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        key: &str,
        allowed: std::ops::RangeInclusive<T>,
    ) -> Option<Option<T>> {
        let Some(Entry { value, at }) = self.entries.take(key) else { return Some(None) };
        match value.parse::<T>() {
            Ok(number) if allowed.contains(&number) => Some(Some(number)),
            Ok(_) | Err(_) => self.fail(format!(
                "{at}: {key}={value} is not a number from {} to {}",
                allowed.start(),
                allowed.end()
            )),
        }
    }

    /// A limit in ticks, which an ensemble's file must give.
    fn limit(&mut self, key: &str, default: u32, wanted: bool) -> u32 {
        match self.number(key, 1..=u32::MAX) {
            Some(Some(ticks)) => ticks,
            Some(None) if wanted => {
                self.errors.push(format!("{}: {key} is missing; an ensemble must agree on it", self.name));
                default
            }
            Some(None) | None => default,
        }
    }

    fn switch(&mut self, key: &str, default: bool) -> bool {
        let Some(Entry { value, at }) = self.entries.take(key) else { return default };
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" => true,
            "false" | "no" => false,
            _ => {
                self.errors.push(format!("{at}: {key}={value} is neither true nor false"));
                default
            }
        }
    }
}

/// A server without server lines is an ensemble of one; it has no peers, so their ports mean nothing.
fn standalone(id: MemberId, client: Option<&(String, u16)>) -> ServerLine {
    let client = client.map(|(host, port)| ClientPart { host: host.clone(), port: *port });
    let host = "localhost".to_owned();
    ServerLine { id, host, quorum_port: 0, election_port: 0, observer: false, client }
}

#[cfg(test)]
mod tests;
