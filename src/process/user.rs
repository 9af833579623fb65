//! `--user`: somebody without rights, once the sockets are bound.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{fchown, lchown};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, getresuid, setgroups, setresgid, setresuid};

/// Who a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

/// Why a text names nobody to become. The option stands before it in the line
/// that is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// No such user.
    #[error("this system has no user '{0}'; name one that it has, or a number and a group")]
    NoUser(String),
    /// No such group.
    #[error("this system has no group '{0}'; name one that it has, or a number")]
    NoGroup(String),
    /// A number that no user has, and no group.
    #[error("no user has the number {0}, so its group is not known; write {0}:GROUP")]
    GroupOf(u32),
    /// Root.
    #[error("that is root, who keeps all rights; name another user, or leave the option out")]
    Root,
    /// The system does not say.
    #[error("the system does not say who that is: {0}")]
    System(Errno),
}

/// Why we cannot become somebody.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Only root can become somebody else.
    #[error("--user {0}: only root can become another user; start as root, or leave the option out")]
    NotRoot(String),
    /// The system refuses.
    #[error("--user {name}: cannot {what}: {error}")]
    System {
        /// Who was to be become.
        name: String,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Root's rights came back, which must not be.
    #[error("--user {0}: the rights of root can be had back, so they are not given up")]
    Regained(String),
}

impl Account {
    /// Reads `USER` or `USER:GROUP`, each a name or a number.
    ///
    /// # Errors
    /// Where the system knows no such user or group, and for root.
    pub fn parse(text: &str) -> Result<Self, AccountError> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let known = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        }
        .map_err(AccountError::System)?;
        let uid = match (&known, user.parse()) {
            (Some(known), _) => known.uid,
            (None, Ok(number)) => Uid::from_raw(number),
            (None, Err(_)) => return Err(AccountError::NoUser(user.to_owned())),
        };
        let gid = match (group, known) {
            (Some(group), _) => group_number(group)?,
            (None, Some(known)) => known.gid,
            (None, None) => return Err(AccountError::GroupOf(uid.as_raw())),
        };
        if uid.is_root() { Err(AccountError::Root) } else { Ok(Self { name: text.to_owned(), uid, gid }) }
    }

    /// Becomes this user and group, with no other groups, for good. All threads
    /// do, those to come as well.
    ///
    /// # Errors
    /// Where we are neither root nor this user, where the system refuses, and
    /// where root's rights could be had back.
    pub fn become_it(&self) -> Result<(), UserError> {
        let failed =
            |what| move |error: Errno| UserError::System { name: self.name.clone(), what, error: error.into() };
        let now = getresuid().map_err(failed("tell who we are"))?;
        if [now.real, now.effective, now.saved] == [self.uid; 3] {
            return Ok(());
        }
        if !now.effective.is_root() {
            return Err(UserError::NotRoot(self.name.clone()));
        }
        // Groups first: afterwards there is no right to change them.
        setgroups(&[self.gid]).map_err(failed("leave root's groups"))?;
        setresgid(self.gid, self.gid, self.gid).map_err(failed("change the group"))?;
        setresuid(self.uid, self.uid, self.uid).map_err(failed("change the user"))?;
        let root = Uid::from_raw(0);
        if setresuid(root, root, root).is_ok() {
            return Err(UserError::Regained(self.name.clone()));
        }
        Ok(())
    }

    /// Makes this user the owner of what we made for it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn own(&self, path: &Path) -> Result<(), UserError> {
        let owned = lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()));
        owned.map_err(|error| UserError::System { name: self.name.clone(), what: "be given its files", error })
    }

    /// Makes this user the owner of a socket. Others can be bound beside it by its owner alone; where the
    /// system refuses, there will be none.
    pub fn own_socket(&self, socket: impl AsFd) {
        let _ = fchown(socket, Some(self.uid.as_raw()), Some(self.gid.as_raw()));
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn group_number(group: &str) -> Result<Gid, AccountError> {
    if let Ok(number) = group.parse() {
        return Ok(Gid::from_raw(number));
    }
    let known = Group::from_name(group).map_err(AccountError::System)?;
    known.map(|group| group.gid).ok_or_else(|| AccountError::NoGroup(group.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_name_or_a_number() {
        let account = |text| Account::parse(text).map(|account| (account.uid.as_raw(), account.gid.as_raw()));
        assert_eq!(account("4711:4712"), Ok((4711, 4712)));
        assert_eq!(account("4711:root"), Ok((4711, 0)));
        assert_eq!(account("4000000000"), Err(AccountError::GroupOf(4_000_000_000)));
        assert_eq!(account("root"), Err(AccountError::Root));
        assert_eq!(account("0:4712"), Err(AccountError::Root));
        assert_eq!(account("no such user"), Err(AccountError::NoUser("no such user".to_owned())));
        assert_eq!(account("4711:no such group"), Err(AccountError::NoGroup("no such group".to_owned())));
        assert!(account("").is_err() && account(":").is_err());
    }
}
