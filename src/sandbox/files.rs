//! Landlock: which files, and which TCP ports.

use std::env;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Needs, Strength};

/// The newest that is asked for; an older kernel does what it can.
const NEWEST: ABI = ABI::V7;

/// What the C library reads to look up names, and to tell the time and the log
/// what is what; and what says how many threads are worth it. Of `/run`: where the
/// file of the name servers may really be.
const READ: [&str; 11] = [
    "/etc",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/run",
    "/proc",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
];

/// What the resolver reads (nsswitch.conf(5), resolv.conf(5), gai.conf(5)). Where
/// these are links, it may be a file that is in none of the folders above.
const OF_RESOLVER: [&str; 5] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"];

/// Name servers, where an answer is too long for UDP (RFC 1035 §4.2.2).
const DNS: u16 = 53;

pub(super) fn restrict(needs: &Needs) -> Result<Strength, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?;
    // A service manager may listen where only a name says so (unix(7), abstract).
    if !env::var("NOTIFY_SOCKET").is_ok_and(|socket| socket.starts_with('@')) {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let status = ruleset
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(READ, reading()))?
        .add_rules(path_beneath_rules(OF_RESOLVER, reading()))?
        .add_rules(path_beneath_rules(&needs.read, reading()))?
        .add_rules(path_beneath_rules(["/dev/null"], reading() | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&needs.write, reading() | writing()))?
        .add_rules(path_beneath_rules(&needs.remove, removing()))?
        .add_rule(NetPort::new(DNS, AccessNet::ConnectTcp))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Strength::Full,
        RulesetStatus::PartiallyEnforced => Strength::Partial,
        RulesetStatus::NotEnforced => Strength::None,
    })
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

fn removing() -> BitFlags<AccessFs> {
    // A socket is made and renamed over by the next daemon only.
    AccessFs::RemoveFile.into()
}

fn writing() -> BitFlags<AccessFs> {
    let made = AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::RemoveDir | removing();
    AccessFs::WriteFile | AccessFs::Truncate | AccessFs::Refer | made
}
