//! After the start the process can do what it needs, and nothing else.
//!
//! - *Files* (Landlock): those of the resolver, of the log and of the options may
//!   be read; nothing may be executed, nothing written, made or removed but where
//!   [`Needs`] says so; no TCP port may be opened, and a TCP connection goes to name
//!   servers alone. For the calling thread and those that it starts later.
//! - *System calls* (seccomp): those of a program that is running, of UDP, and of
//!   the rest above; [`calls`] has the list. For all threads.
//!
//! What is not allowed fails with an error as if a right was missing. Where the
//! kernel lacks one of the two, the other holds all the same.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
mod calls;
#[cfg(target_os = "linux")]
mod files;

use std::path::PathBuf;

use tracing::info;

/// What the process must still be able to do with files after the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Folders and files that are read.
    pub read: Vec<PathBuf>,
    /// Folders in which files are made, written and removed.
    pub write: Vec<PathBuf>,
    /// Folders out of which a file is removed at the end.
    pub remove: Vec<PathBuf>,
}

/// How much of a sandbox there is; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strength {
    Full,
    Partial,
    None,
}

impl Strength {
    fn word(self) -> &'static str {
        match self {
            Self::Full => "restricted",
            Self::Partial => "restricted as far as this kernel can",
            Self::None => "not restricted, as this kernel cannot",
        }
    }
}

/// Restricts what this thread, and those that it starts from now on, can do with
/// files. To be called before the first thread is started.
pub fn files(needs: &Needs) {
    #[cfg(target_os = "linux")]
    let strength = files::restrict(needs).unwrap_or_else(|error| {
        tracing::warn!(%error, "sandbox: files");
        Strength::None
    });
    #[cfg(not(target_os = "linux"))]
    let strength = Strength::None;
    info!(files = strength.word(), "sandbox");
}

/// Restricts which system calls there are, for all threads.
pub fn calls() {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
    let strength = calls::restrict().map_or_else(
        |error| {
            info!(%error, "sandbox: system calls");
            Strength::None.word()
        },
        |()| Strength::Full.word(),
    );
    // Nobody has listed its system calls yet.
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
    )))]
    let strength = "not restricted on this kind of processor";
    info!(system_calls = strength, "sandbox");
}
