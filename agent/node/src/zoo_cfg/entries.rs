//! What a `zoo.cfg` and the command line say, as entries with the place that each came from.
//!
//! Must not know: what a key means. Read first: [`Entries`].

use std::collections::BTreeMap;

use java_properties::{LineContent, PropertiesIter};

/// A value and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: String,
    /// `FILE:LINE`, or `-D`.
    pub(super) at: String,
}

/// All that was given, by key. Keys come without the prefix `zookeeper.` that ZooKeeper's system properties have.
#[derive(Debug, Default)]
pub(super) struct Entries(BTreeMap<String, Entry>);

impl Entries {
    /// Adds a file's entries; a later line wins over an earlier one, as Java's Properties have it.
    ///
    /// # Errors
    /// The file is not in Java's form of properties.
    pub(super) fn add_file(&mut self, name: &str, text: &str) -> Result<(), String> {
        let lines = PropertiesIter::new_with_encoding(text.as_bytes(), encoding_rs::UTF_8);
        for line in lines {
            let line = line.map_err(|error| format!("{name}: {error}"))?;
            let at = format!("{name}:{}", line.line_number());
            if let LineContent::KVPair(key, value) = line.consume_content() {
                self.0.insert(own_name(&key), Entry { value: value.trim().to_owned(), at });
            }
        }
        Ok(())
    }

    /// Adds a system property, `name=value`; what the file says wins, as ZooKeeper has it. Properties of the JVM itself are passed over.
    ///
    /// # Errors
    /// It has no name.
    pub(super) fn add_property(&mut self, property: &str) -> Result<(), String> {
        let (name, value) = property.split_once('=').unwrap_or((property, ""));
        if name.is_empty() {
            return Err(format!("-D {property}: the form is -D name=value"));
        }
        let is_ours = name.starts_with("zookeeper.") || PROPERTIES_WITHOUT_PREFIX.contains(&name);
        if is_ours && !PATHS_OF_LOGS.contains(&name) {
            let entry = Entry { value: value.trim().to_owned(), at: "-D".to_owned() };
            self.0.entry(own_name(name)).or_insert(entry);
        }
        Ok(())
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        self.0.remove(key)
    }

    /// Takes every entry whose key starts so; the keys come without the prefix.
    pub(super) fn take_all(&mut self, prefix: &str) -> Vec<(String, Entry)> {
        let keys: Vec<String> = self.0.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        let entry = |key: String| Some((key[prefix.len()..].to_owned(), self.0.remove(&key)?));
        keys.into_iter().filter_map(entry).collect()
    }

    /// What nobody took.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, Entry)> {
        self.0.into_iter()
    }
}

/// System properties of ZooKeeper that lack its prefix.
const PROPERTIES_WITHOUT_PREFIX: [&str; 3] =
    ["readonlymode.enabled", "java.security.auth.login.config", "jute.maxbuffer"];

/// Where Java's logging goes.
const PATHS_OF_LOGS: [&str; 5] = [
    "zookeeper.log.dir",
    "zookeeper.log.file",
    "zookeeper.root.logger",
    "zookeeper.console.threshold",
    "zookeeper.log.threshold",
];

fn own_name(key: &str) -> String {
    key.trim().strip_prefix("zookeeper.").unwrap_or(key.trim()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_win_over_properties_and_later_lines_over_earlier() {
        let mut entries = Entries::default();
        let text =
            "# comment\ntickTime=1\n\n tickTime = 2000 \nzookeeper.snapCount: 5\nfour.letters=a,\\\n  b\n";
        entries.add_file("zoo.cfg", text).expect("properties");
        for property in [
            "zookeeper.snapCount=9",
            "zookeeper.superDigest=x",
            "java.awt.headless=true",
            "readonlymode.enabled=true",
        ] {
            entries.add_property(property).expect("a property");
        }
        let entry = |value: &str, at: &str| Some(Entry { value: value.into(), at: at.into() });
        assert_eq!(entries.take("tickTime"), entry("2000", "zoo.cfg:4"));
        assert_eq!(entries.take("snapCount"), entry("5", "zoo.cfg:5"));
        assert_eq!(entries.take("four.letters"), entry("a,b", "zoo.cfg:6"));
        assert_eq!(entries.take("superDigest"), entry("x", "-D"));
        assert_eq!(entries.take("readonlymode.enabled"), entry("true", "-D"));
        assert_eq!(entries.rest().count(), 0, "what is the JVM's is passed over");
        assert!(Entries::default().add_property("=x").is_err());
    }
}
