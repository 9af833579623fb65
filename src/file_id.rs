//! Which file a name stands for: names come and go, and other files take them.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What tells a file from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// No file has this one.
    pub const NONE: Self = Self { device: 0, inode: 0 };

    /// That of the file that this was said of.
    pub fn of(about: &Metadata) -> Self {
        Self { device: about.dev(), inode: about.ino() }
    }

    /// That of the file at `path`, which may be a symbolic link itself.
    ///
    /// # Errors
    /// Where there is none, or the system does not tell.
    pub fn at(path: &Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|about| Self::of(&about))
    }
}
