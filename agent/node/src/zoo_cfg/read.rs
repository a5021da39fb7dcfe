//! Reading a `zoo.cfg` and what it names: the dynamic file and `myid`.

use std::path::{Path, PathBuf};

use super::entries::Entries;
use super::{JAAS_FILE, Sources, ZooCfg, parse};

/// Reads the configuration at `path` with these system properties.
///
/// # Errors
/// All that is wrong, one sentence each, with file and line.
pub fn load(path: &Path, properties: &[String]) -> Result<ZooCfg, Vec<String>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| vec![format!("{}: {error}", path.display())])
    };
    let text = read(path)?;
    let name = file_name(path);
    // What the file names must be known before the whole can be understood.
    let mut entries = Entries::default();
    entries.add_file(&name, &text).map_err(|error| vec![error])?;
    properties.iter().try_for_each(|property| entries.add_property(property)).map_err(|error| vec![error])?;
    let beside = |file: String| path.parent().unwrap_or(Path::new("")).join(file);
    let dynamic = match entries.take("dynamicConfigFile").map(|entry| beside(entry.value)) {
        Some(file) => Some((file_name(&file), read(&file)?)),
        None => None,
    };
    let jaas = match entries.take(JAAS_FILE).map(|entry| PathBuf::from(entry.value)) {
        Some(file) => Some((file_name(&file), read(&file)?)),
        None => None,
    };
    let myid = entries.take("dataDir").map(|dir| PathBuf::from(dir.value).join("myid"));
    let myid = match myid.filter(|file| file.exists()) {
        Some(file) => Some(read(&file)?),
        None => None,
    };
    parse(&Sources {
        name: &name,
        text: &text,
        dynamic: dynamic.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        myid: myid.as_deref(),
        jaas: jaas.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        properties,
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
