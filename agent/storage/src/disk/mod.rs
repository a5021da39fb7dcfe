//! Files as the rest of storage sees them: real ones, ones in memory, or simulated ones that lose what was
//! not flushed.
//!
//! All three pass one suite. Must not know: what the files hold. Read first: [`Disk`], [`DiskFile`].

mod memory;
mod real;
mod simulated;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use memory::MemoryDisk;
pub use real::{DirectoryLock, RealDisk, boot_id, lock_directory};
pub use simulated::{Crash, SimulatedDisk};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Existing, read only.
    Read,
    /// Existing or new, buffered: durable after [`DiskFile::sync_data`].
    Buffered,
    /// Existing or new; each write is durable when it returns. Offsets and lengths are multiples of
    /// [`BLOCK`], and the buffer should be aligned to it.
    Synchronous,
}

/// The unit of synchronous writes, bytes.
pub const BLOCK: usize = 4096;

/// A directory tree. Paths are used as given.
pub trait Disk: Send + Sync {
    /// Opens a file. A new one keeps its name over a power cut only after [`Disk::sync_dir`] of its
    /// directory.
    ///
    /// # Errors
    /// `NotFound` if its directory, or for [`Access::Read`] the file, does not exist.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a directory and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or directory; durable after [`Disk::sync_dir`] of the parent.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted; empty if it does not exist.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// True if the path exists.
    fn exists(&self, path: &Path) -> bool;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Bytes that can still be written to the file system that holds the path.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Reads see all writes; only what was synchronized survives a power cut.
pub trait DiskFile: Send + Sync {
    /// Fills the buffer from an offset.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before the buffer does.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of it at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything written durable. A failure is final: what was written may be lost (never retry and
    /// trust).
    fn sync_data(&self) -> io::Result<()>;
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// True if the file holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The operating system's file, if it is one: the kernel can send from it what nobody needs to look at.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Makes a directory and those above it, names included, so that a power cut keeps the way to what is flushed
/// in it. A directory that is there already may have been made by a process that died before it flushed the
/// name, so every name on the way is flushed again; only directories of others, which refuse, are passed over.
///
/// # Errors
/// As the disk.
pub fn create_dir_durable(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let above: Vec<&Path> = path.ancestors().filter(|p| !p.as_os_str().is_empty()).collect();
    let present = above.iter().filter(|p| disk.exists(p)).count();
    disk.create_dir_all(path)?;
    for (number, made) in above.iter().rev().enumerate() {
        let Some(parent) = made.parent() else { continue };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match disk.sync_dir(parent) {
            Err(error) if number + 1 < present && is_refusal(&error) => {}
            result => result?,
        }
    }
    Ok(())
}

/// True for what the directories of others answer: no permission, no writing, no flushing there.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// True for what passes when somebody makes room: the disk is full, or the quota is used up. What was written before is none the
/// worse.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Replaces a file as a whole: temporary name, write, flush, rename, flush of the directory. After a crash it
/// is the old one or the new one.
///
/// # Errors
/// As the disk; of a file that finds no room nothing is left.
pub fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_added_extension("tmp");
    let written = disk.open(&temporary, Access::Buffered).and_then(|file| {
        file.set_len(0)?;
        file.write_at(content, 0)?;
        file.sync_data()
    });
    if let Err(error) = written {
        if is_full(&error) && disk.exists(&temporary) {
            disk.remove_file(&temporary)?;
        }
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The whole content of a file; `None` if there is none.
///
/// # Errors
/// As the disk.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_at(&mut content, 0)?;
    Ok(Some(content))
}
