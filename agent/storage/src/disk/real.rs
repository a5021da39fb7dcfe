//! The operating system's files.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Access, Disk, DiskFile};

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile(File);

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        if access != Access::Read {
            options.write(true).create(true).truncate(false);
        }
        if access == Access::Synchronous {
            // One system call per commit and no dirty cache; file systems without direct IO get the same
            // durability buffered.
            let direct = options.clone().custom_flags(libc::O_DIRECT | libc::O_DSYNC).open(path);
            return match direct {
                Ok(file) => Ok(Arc::new(RealFile(file))),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    Ok(Arc::new(RealFile(options.custom_flags(libc::O_DSYNC).open(path)?)))
                }
                Err(error) => Err(error),
            };
        }
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut paths = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let fs = rustix::fs::statvfs(path)?;
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// The running kernel's boot id: the same id after a restart means that the page cache survived, so only the
/// process died.
///
/// # Errors
/// As reading a small file of the kernel.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Held while a process uses a data directory; let go when dropped, or by the kernel when the process dies.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Takes a data directory for this process alone; `None` if another process has it.
///
/// # Errors
/// As opening a file in it.
pub fn lock_directory(dir: &Path) -> io::Result<Option<DirectoryLock>> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("lock"))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(DirectoryLock(file))),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
