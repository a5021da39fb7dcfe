//! The data directory: whose it is, who works on it, what is kept where in it.
//!
//! ```text
//! ensemble.json       what is wanted, each member's ports (state.rs)
//! status.json         what there is, for `apply --wait` and the times of `describe`
//! processes.json      the agents' processes
//! apply.json          a change on its way from `apply` to `up`
//! up.lock apply.lock  held by the process that may write
//! member-N/           agent.yaml, agent.log, data/
//! retired/            disks of members that left; never used again
//! ```
//! Read first: [`Directory`].

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a directory may hold that is not an ensemble's and does not make it foreign: outputs that a caller puts beside the data.
const OURS: &[&str] = &["up.lock", "apply.lock", "up.stderr", "up.stdout", "up.log", "lost+found"];

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where a member keeps its things.
    pub(crate) fn member(&self, id: i32) -> PathBuf {
        self.path.join(format!("member-{id}"))
    }

    /// A member's log.
    pub(crate) fn log(&self, id: i32) -> PathBuf {
        self.member(id).join("agent.log")
    }

    /// Makes the directory where it is missing and takes it for `up`, until the result is dropped.
    ///
    /// # Errors
    /// It cannot be written, holds something else, or another `up` has it; each with the next step.
    pub(crate) fn take(&self) -> Result<File> {
        let shown = self.path.display();
        std::fs::create_dir_all(&self.path)
            .with_context(|| format!("{shown}: the data directory cannot be made; use another --data"))?;
        let entries = std::fs::read_dir(&self.path)
            .with_context(|| format!("{shown}: cannot be read; use another --data"))?;
        let names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let foreign = names.iter().find(|name| !OURS.contains(&name.as_str()));
        if let Some(name) = foreign.filter(|_| !names.iter().any(|name| name == "ensemble.json")) {
            bail!(
                "{shown}: holds no ensemble, but something else ({name}); use another --data, or an empty directory"
            );
        }
        let lock = self.open_lock("up.lock")?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => bail!(
                "{shown}: another `streamkeeper up` runs on this data directory; stop it, or use another --data"
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{shown}: cannot be locked; use another --data"))
            }
        }
    }

    /// Fails unless an `up` runs on the directory.
    pub(crate) fn check_running(&self) -> Result<()> {
        let shown = self.path.display();
        let idle = || {
            anyhow!(
                "{shown}: no `streamkeeper up` runs on this data directory; start one, or name another with --data"
            )
        };
        let lock = File::open(self.file("up.lock")).map_err(|_| idle())?;
        if lock.try_lock_shared().is_ok() { Err(idle()) } else { Ok(()) }
    }

    /// Only one change is handed over at a time: each is judged against what the one before left.
    pub(crate) fn take_for_change(&self, patience: Duration) -> Result<File> {
        let lock = self.open_lock("apply.lock")?;
        let until = Instant::now() + patience;
        while lock.try_lock().is_err() {
            if Instant::now() > until {
                bail!("another `streamkeeper apply` or `delete` does not end; wait for it, or stop it");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(lock)
    }

    fn open_lock(&self, name: &str) -> Result<File> {
        let path = self.file(name);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        file.with_context(|| format!("{}: cannot be written; use another --data", path.display()))
    }

    /// The contents of a file of ours; `None` if it is not there.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.file(name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        serde_json::from_str(&text).map(Some).with_context(|| path.display().to_string())
    }

    /// The old file or the new one, never a half, and the new one also after a power cut.
    pub(crate) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.replace(name, value, true)
    }

    /// The old file or the new one, never a half; for what is made anew when it is lost.
    pub(crate) fn write_lightly<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.replace(name, value, false)
    }

    fn replace<T: Serialize>(&self, name: &str, value: &T, durable: bool) -> Result<()> {
        let (path, temporary) = (self.file(name), self.file(&format!("{name}.tmp")));
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec_pretty(value)?;
            text.push(b'\n');
            std::fs::write(&temporary, text)?;
            if durable {
                File::open(&temporary)?.sync_all()?;
            }
            std::fs::rename(&temporary, &path)?;
            if durable { File::open(&self.path)?.sync_all() } else { Ok(()) }
        };
        write().with_context(|| {
            format!("{}: cannot be written; make room, or give back the permission", path.display())
        })
    }

    /// Puts a member's directory aside for good, where there is one; returns the new place.
    pub(crate) fn retire(&self, id: i32) -> Result<Option<PathBuf>> {
        let from = self.member(id);
        if !from.exists() {
            return Ok(None);
        }
        let place = self.file("retired");
        std::fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
        let free = |n: &u32| !place.join(format!("member-{id}.{n}")).exists();
        let number = (1..).find(free).unwrap_or(u32::MAX);
        let to = place.join(format!("member-{id}.{number}"));
        std::fs::rename(&from, &to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
        Ok(Some(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("streamkeeper-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_directory_is_taken_once_and_a_foreign_one_never() {
        let path = temporary("taken");
        let directory = Directory::new(&path);
        assert!(
            directory.check_running().is_err_and(|e| e.to_string().contains("no `streamkeeper up` runs"))
        );
        let lock = directory.take().expect("an empty directory");
        directory.check_running().expect("it is taken");
        let error = directory.take().expect_err("taken").to_string();
        assert!(error.contains("another `streamkeeper up` runs"), "{error}");
        drop(lock);
        std::fs::write(path.join("thesis.tex"), "").expect("a file");
        let error = directory.take().expect_err("foreign").to_string();
        assert!(error.contains("something else (thesis.tex); use another --data"), "{error}");
        std::fs::write(path.join("ensemble.json"), "{}").expect("a file");
        directory.take().expect("ours, with a file of the user's");
        std::fs::remove_dir_all(&path).expect("removed");
        std::fs::write(&path, "").expect("a file");
        let error = format!("{:#}", directory.take().expect_err("no directory"));
        assert!(error.contains("cannot be made; use another --data"), "{error}");
        std::fs::remove_file(&path).expect("removed");
    }

    #[test]
    fn an_old_disk_is_put_aside_and_never_over_another() {
        let path = temporary("retired");
        let directory = Directory::new(&path);
        for number in 1..=2 {
            std::fs::create_dir_all(directory.member(4)).expect("a directory");
            std::fs::write(directory.member(4).join("disk"), number.to_string()).expect("a file");
            let kept = directory.retire(4).expect("moved").expect("it was there");
            assert_eq!(kept, path.join(format!("retired/member-4.{number}")));
            assert_eq!(std::fs::read_to_string(kept.join("disk")).expect("kept"), number.to_string());
        }
        assert_eq!(directory.retire(4).expect("nothing"), None);
        std::fs::remove_dir_all(&path).expect("removed");
    }
}
