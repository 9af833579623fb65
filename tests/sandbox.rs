//! What a process in the sandbox can do, and what it cannot. It is for good, so
//! there is one test here, and it runs alone in its program.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use sipproxy64::sandbox::{self, Needs};

/// What the kernel says of this thread.
fn status(name: &str) -> String {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap_or("none").to_owned()
}

fn is_refused<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn only_what_is_needed_can_be_done() {
    let folder = std::env::temp_dir().join(format!("sipproxy64-sandbox-{}", std::process::id()));
    let inside = |name: &str| -> PathBuf { folder.join(name) };
    for name in ["write", "remove", "other"] {
        fs::create_dir_all(inside(name)).unwrap();
        fs::write(inside(name).join("file"), "there").unwrap();
    }
    let restricted = folder.clone();
    // A thread of its own, so that this one can clean up.
    let tried = thread::spawn(move || try_everything(&restricted)).join();
    fs::remove_dir_all(&folder).unwrap();
    assert!(tried.is_ok());
}

fn try_everything(folder: &Path) {
    let inside = |name: &str| -> PathBuf { folder.join(name) };
    let early = thread::spawn(|| {
        thread::park();
        (status("NoNewPrivs"), status("Seccomp"))
    });

    let needs = Needs { read: Vec::new(), write: vec![inside("write")], remove: vec![inside("remove")] };
    sandbox::files(&needs);
    sandbox::calls();

    if status("Seccomp") != "2" {
        println!("skipped: this kernel or machine has no seccomp filters");
    } else {
        early.thread().unpark();
        assert_eq!(early.join().unwrap(), ("1".to_owned(), "2".to_owned()), "threads from before are restricted too");
        assert!(is_refused(Command::new("/bin/true").status()), "nothing is executed");
        assert!(is_refused(TcpListener::bind("127.0.0.1:0").map(drop)), "nothing listens");
        assert!(is_refused(UnixListener::bind(inside("write").join("socket")).map(drop)));
        assert!(is_refused(nix::unistd::chroot("/").map_err(Into::into)));
        assert!(is_refused(
            nix::sys::socket::socket(
                nix::sys::socket::AddressFamily::Inet,
                nix::sys::socket::SockType::Raw,
                nix::sys::socket::SockFlag::empty(),
                nix::sys::socket::SockProtocol::Icmp,
            )
            .map_err(Into::into)
        ));
    }

    let landlocked = is_refused(fs::write(inside("other").join("file"), "changed"));
    if !landlocked {
        println!("skipped: this kernel has no Landlock");
    } else {
        assert!(is_refused(fs::read(inside("other").join("file"))), "what is not needed is not read");
        assert!(is_refused(fs::remove_file(inside("other").join("file"))));
        assert!(is_refused(fs::write(inside("remove").join("new"), "")), "nothing is made where only removal is due");
        assert!(is_refused(File::open(std::env::current_exe().unwrap())));
        assert!(is_refused(TcpStream::connect("127.0.0.1:80")), "TCP goes to name servers alone");
        // Also by threads that come later.
        let file = inside("other").join("file");
        assert!(thread::spawn(move || is_refused(fs::write(file, "changed"))).join().unwrap());
    }

    // What a running daemon does.
    let (one, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    one.set_nonblocking(true).unwrap();
    other.send_to(b"media", one.local_addr().unwrap()).unwrap();
    fs::write(inside("write").join("file"), "changed").unwrap();
    fs::create_dir(inside("write").join("more")).unwrap();
    fs::write(inside("write").join("more").join("file"), "new").unwrap();
    fs::rename(inside("write").join("more").join("file"), inside("write").join("moved")).unwrap();
    fs::remove_file(inside("write").join("moved")).unwrap();
    fs::remove_file(inside("remove").join("file")).unwrap();
    assert!(("localhost", 5060).to_socket_addrs().unwrap().count() > 0, "names are looked up");
    assert!(thread::Builder::new().name("later".to_owned()).spawn(|| 5).unwrap().join().is_ok());
    drop(UnixDatagram::unbound().unwrap());
    assert!(fs::read("/etc/resolv.conf").is_ok() || !fs::exists("/etc/resolv.conf").unwrap());
    nix::ifaddrs::getifaddrs().unwrap();
    assert!(sipproxy64::secret::random().is_ok());
}
