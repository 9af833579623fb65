//! seccomp: which system calls.
//!
//! Two filters. One lets through what stands in the lists below, by its
//! arguments where these tell harmless from not, and answers EPERM to all else.
//! The other answers ENOSYS to clone3(2), whose arguments no filter can see: the C
//! library then takes clone(2), which may make threads and nothing else.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Why system calls are not restricted.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallsError {
    /// A filter cannot be put together.
    #[error("no filter: {0}")]
    Filter(#[from] BackendError),
    /// The kernel does not take it.
    #[error("the kernel takes no filter: {0}")]
    Kernel(#[from] seccompiler::Error),
}

/// What may be called whatever the arguments are.
const ALLOWED: &[i64] = &[
    // Reading and writing of what is open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    // Files by name: which ones is Landlock's affair.
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_chdir,
    libc::SYS_getcwd,
    libc::SYS_mkdirat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_umask,
    // Sockets, but for new ones and for listen(2).
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Time, chance, and what there is of this machine.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrusage,
    libc::SYS_getcpu,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads and signals of our own.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
];

/// More that are allowed: older names of some, which the C library still uses here.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_access,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[i64] = &[libc::SYS_renameat];
#[cfg(target_arch = "riscv64")]
const ALLOWED_HERE: &[i64] = &[];

pub(super) fn restrict() -> Result<(), CallsError> {
    let arch = TargetArch::try_from(ARCH)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    rules.extend(ALLOWED.iter().chain(ALLOWED_HERE).map(|&call| (call, Vec::new())));
    rules.extend(by_arguments()?);
    let list = SeccompFilter::new(rules, errno(libc::EPERM), SeccompAction::Allow, arch)?;
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let no_clone3 = SeccompFilter::new(clone3, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    let programs = [BpfProgram::try_from(no_clone3)?, BpfProgram::try_from(list)?];
    // The second one forbids a third.
    programs.iter().try_for_each(|program| apply_filter_all_threads(program)).map_err(CallsError::from)
}

fn errno(error: libc::c_int) -> SeccompAction {
    SeccompAction::Errno(error.unsigned_abs())
}

/// What depends on the arguments: any of the rules of a call will do.
fn by_arguments() -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    // No memory is both written and executed; a library of the resolver is mapped.
    let write_and_execute = number(libc::PROT_WRITE | libc::PROT_EXEC);
    let may_not_both = [libc::PROT_WRITE, libc::PROT_EXEC, 0].into_iter();
    let mapped = may_not_both.map(|protection| rule(&[masked(2, write_and_execute, number(protection))?]));
    let no_execution = rule(&[masked(2, number(libc::PROT_EXEC), 0)?])?;
    let thread = rule(&[masked(0, number(libc::CLONE_THREAD), number(libc::CLONE_THREAD))?])?;
    let asked = [libc::FIONBIO, libc::FIOCLEX, libc::FIONREAD, libc::TCGETS].into_iter();
    let ioctls = asked.map(|request| rule(&[equal(1, u64::from(request as u32))?]));
    let read_only = rule(&[SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?])?;
    Ok(vec![
        (libc::SYS_mmap, mapped.collect::<Result<_, _>>()?),
        (libc::SYS_mprotect, vec![no_execution]),
        (libc::SYS_clone, vec![thread]),
        (libc::SYS_ioctl, ioctls.collect::<Result<_, _>>()?),
        (libc::SYS_prctl, vec![rule(&[equal(0, number(libc::PR_SET_NAME))?])?]),
        (libc::SYS_prlimit64, vec![read_only]),
        (libc::SYS_socket, sockets()?),
        (libc::SYS_socketpair, vec![rule(&[equal(0, number(libc::AF_UNIX))?])?]),
        // To ourselves, to abort.
        (libc::SYS_tgkill, vec![rule(&[equal(0, u64::from(std::process::id()))?])?]),
    ])
}

/// UDP and the TCP of the resolver, never raw packets; unix sockets; and netlink,
/// of which the resolver learns what addresses there are.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let mut rules = vec![
        rule(&[equal(0, number(libc::AF_UNIX))?])?,
        rule(&[equal(0, number(libc::AF_NETLINK))?, equal(2, number(libc::NETLINK_ROUTE))?])?,
    ];
    // Flags stand above the type (socket(2)).
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_DGRAM, libc::SOCK_STREAM] {
            rules.push(rule(&[equal(0, number(family))?, masked(1, 0xf, number(kind))?])?);
        }
    }
    Ok(rules)
}

fn rule(conditions: &[SeccompCondition]) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.to_vec())
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn number(constant: libc::c_int) -> u64 {
    u64::from(constant.unsigned_abs())
}
