//! Where the control socket is, if nobody says so.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkdir};

/// The folder of a daemon that root starts.
pub const OF_ROOT: &str = "/run/sipproxy64";

/// Where the control socket is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SocketPath {
    /// `$RUNTIME_DIRECTORY/control`, as systemd sets it; else, for root,
    /// `/run/sipproxy64/control`; else `$XDG_RUNTIME_DIR/sipproxy64.control`;
    /// else nowhere.
    #[default]
    Usual,
    /// Here and nowhere else.
    Given(PathBuf),
    /// `--control none`.
    Nowhere,
}

impl SocketPath {
    /// What `--control` says.
    pub fn parse(value: OsString) -> Self {
        if value == "none" { Self::Nowhere } else { Self::Given(value.into()) }
    }

    /// The path of the socket; `None`: there is none.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Usual => usual(|name| env::var_os(name), geteuid().is_root()),
            Self::Given(path) => Some(path.clone()),
            Self::Nowhere => None,
        }
    }

    /// Where a client looks: at the usual path of its own, and if there is
    /// nothing, at that of a daemon that root or systemd started.
    pub(super) fn path_of_client(&self) -> Option<PathBuf> {
        let of_root = || Some(Path::new(OF_ROOT).join("control"));
        match self {
            Self::Usual => self.path().filter(|path| fs::symlink_metadata(path).is_ok()).or_else(of_root),
            Self::Given(_) | Self::Nowhere => self.path(),
        }
    }
}

fn usual(variable: impl Fn(&str) -> Option<OsString>, root: bool) -> Option<PathBuf> {
    let folder = |name| {
        let value = variable(name)?.into_string().ok()?;
        // systemd may name several folders, with colons between.
        let first = value.split(':').next().filter(|first| first.starts_with('/'))?;
        Some(PathBuf::from(first))
    };
    if let Some(folder) = folder("RUNTIME_DIRECTORY") {
        return Some(folder.join("control"));
    }
    if root {
        return Some(Path::new(OF_ROOT).join("control"));
    }
    Some(folder("XDG_RUNTIME_DIR")?.join("sipproxy64.control"))
}

/// Makes the folder of a daemon that root starts. Others are somebody else's.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    if path.parent() == Some(Path::new(OF_ROOT)) {
        return match mkdir(OF_ROOT, Mode::from_bits_truncate(0o755)) {
            Err(Errno::EEXIST) => Ok(()),
            made => Ok(made?),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_comes_first_then_root_then_the_users_own_folder() {
        let all = |name: &str| match name {
            "RUNTIME_DIRECTORY" => Some("/run/a:/run/b".into()),
            "XDG_RUNTIME_DIR" => Some("/run/user/7".into()),
            _ => None,
        };
        let of_user = |name: &str| all(name).filter(|_| name == "XDG_RUNTIME_DIR");
        assert_eq!(usual(all, true), Some("/run/a/control".into()));
        assert_eq!(usual(of_user, true), Some("/run/sipproxy64/control".into()));
        assert_eq!(usual(of_user, false), Some("/run/user/7/sipproxy64.control".into()));
        assert_eq!(usual(|_| None, false), None);
        assert_eq!(usual(|_| Some("relative".into()), false), None);
    }

    #[test]
    fn none_is_a_word_and_a_path_with_a_slash_is_a_path() {
        assert_eq!(SocketPath::parse("none".into()).path(), None);
        assert_eq!(SocketPath::parse("./none".into()).path(), Some("./none".into()));
    }
}
