//! `--pid-file`: the number of the running daemon.
//!
//! A lock on the file (flock(2)) tells whether the daemon lives that wrote it:
//! the system takes it away with the process, whatever ended that.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use tracing::debug;

use crate::file_id::FileId;

/// Longer than any number of a process and a line end.
const READ_LIMIT: u64 = 32;
/// How often the file may be somebody else's by the time it is locked.
const TRIES: usize = 8;

/// Why there is no pid file. Each text is one clear line.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Another daemon has it.
    #[error("--pid-file {}: process {pid} has it and is running; end that first, or name another file", path.display())]
    Running {
        /// The file.
        path: PathBuf,
        /// What stands in it.
        pid: String,
    },
    /// The file is something else.
    #[error("--pid-file {}: {what}; name another file, or one that does not exist", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The system refuses.
    #[error("--pid-file {}: {error}; its directory must exist and be writable", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

/// The file with our number; it goes away when this is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Writes our number to `path`. A file that a dead daemon left is taken over.
    ///
    /// # Errors
    /// Where another daemon lives that has it, where something stands there that
    /// is no pid file, and where the system refuses.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        let failed = |error| PidFileError::System { path: path.to_owned(), error };
        for _ in 0..TRIES {
            let mut file = open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(PidFileError::Running { path: path.to_owned(), pid: said(path, &mut file)? });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // The daemon that had it may have removed it meanwhile.
            if is_in_place(path, &file) {
                said(path, &mut file)?;
                write(&mut file).map_err(failed)?;
                return Ok(Self { path: path.to_owned(), file });
            }
        }
        Err(PidFileError::Other { path: path.to_owned(), what: "it does not stay the same file" })
    }

    /// The file of another daemon, which has handed it to this one: the lock comes
    /// with it. [`PidFile::write`] is for when the other one has ended.
    pub fn adopt(descriptor: OwnedFd, path: &Path) -> Self {
        Self { path: path.to_owned(), file: descriptor.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes our number into it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&mut self) -> io::Result<()> {
        write(&mut self.file)
    }

    /// Leaves the file to the process that has it too.
    pub fn disown(mut self) {
        self.path = PathBuf::new();
    }
}

impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A daemon that took this one's place has put its own there.
        if !is_in_place(&self.path, &self.file) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            // The user of --user may not: then at least nothing stands in it.
            let emptied = self.file.set_len(0).is_ok();
            debug!(path = %self.path.display(), %error, emptied, "the pid file stays");
        }
    }
}

/// The number that stands in it, or nothing.
fn said(path: &Path, file: &mut File) -> Result<String, PidFileError> {
    let mut text = String::new();
    let read = file.take(READ_LIMIT).read_to_string(&mut text);
    let said = text.trim_ascii_end();
    // Root may have been told a wrong file, and shall not overwrite it.
    if read.is_err() || !said.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = "that is no pid file, as it holds something else than a number";
        return Err(PidFileError::Other { path: path.to_owned(), what });
    }
    Ok(said.to_owned())
}

fn write(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

fn is_in_place(path: &Path, file: &File) -> bool {
    let (here, there) = (file.metadata().map(|about| FileId::of(&about)), FileId::at(path));
    matches!((here, there), (Ok(here), Ok(there)) if here == there)
}

/// Opens the file, or makes it. Where a link points is none of our business, and
/// a pipe would hold us up.
fn open(path: &Path) -> Result<File, PidFileError> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(flags);
    let other = |what| PidFileError::Other { path: path.to_owned(), what };
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => other("that is a symbolic link"),
        _ => PidFileError::System { path: path.to_owned(), error },
    })?;
    let metadata = file.metadata().map_err(|error| PidFileError::System { path: path.to_owned(), error })?;
    match (metadata.is_file(), metadata.nlink()) {
        (false, _) => Err(other("that is no regular file")),
        // Another name for what may be anybody's file.
        (true, 2..) => Err(other("that file has other names too")),
        (true, _) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("sipproxy64-{:016x}", getrandom::u64().unwrap()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("pid")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn ours() -> String {
        format!("{}\n", std::process::id())
    }

    #[test]
    fn it_holds_our_number_and_goes_away() {
        let folder = Folder::new();
        let file = PidFile::create(&folder.file()).unwrap();
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), ours());
        assert_eq!(fs::metadata(folder.file()).unwrap().mode() & 0o7777, 0o644);
        drop(file);
        assert!(!folder.file().exists());
    }

    #[test]
    fn a_stale_one_is_taken_over_and_a_live_one_is_not() {
        let folder = Folder::new();
        fs::write(folder.file(), "999999999\n").unwrap();
        let file = PidFile::create(&folder.file()).unwrap();
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), ours());
        let said = PidFile::create(&folder.file()).unwrap_err().to_string();
        assert!(said.contains(&format!("process {} has it and is running", std::process::id())), "{said}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), ours());
        drop(file);
        assert!(PidFile::create(&folder.file()).is_ok());
    }

    #[test]
    fn what_is_handed_over_stays_locked() {
        let folder = Folder::new();
        let old = PidFile::create(&folder.file()).unwrap();
        let mut new = PidFile::adopt(old.as_fd().try_clone_to_owned().unwrap(), &folder.file());
        old.disown();
        fs::write(folder.file(), "1\n").unwrap();
        new.write().unwrap();
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), ours());
        assert!(matches!(PidFile::create(&folder.file()), Err(PidFileError::Running { .. })));
        drop(new);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    }

    #[test]
    fn other_files_are_left_as_they_are() {
        let folder = Folder::new();
        let other = folder.0.join("other");
        fs::write(&other, "root:x:0:0\n").unwrap();
        let said = |path: &Path| PidFile::create(path).unwrap_err().to_string();
        assert!(said(&other).contains("that is no pid file"));
        std::os::unix::fs::symlink(&other, folder.file()).unwrap();
        assert!(said(&folder.file()).contains("a symbolic link"));
        fs::remove_file(folder.file()).unwrap();
        fs::hard_link(&other, folder.file()).unwrap();
        assert!(said(&folder.file()).contains("other names too"));
        assert!(said(&folder.0).contains("directory"));
        assert_eq!(fs::read_to_string(&other).unwrap(), "root:x:0:0\n");
    }
}
