use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ask::ask_within;
use super::*;

/// A folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sipproxy64-control-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket_path(&self) -> SocketPath {
        SocketPath::Given(self.0.join("control"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `client` beside a daemon that answers each request with its verb.
fn with_daemon<T: Send + 'static>(socket_path: &SocketPath, client: impl FnOnce() -> T + Send + 'static) -> T {
    let mut control = Control::open(socket_path).unwrap().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let mut requests = control.serve().unwrap();
        let mut client = tokio::task::spawn_blocking(client);
        loop {
            tokio::select! {
                Some(Request { verb, client }) = requests.recv() => client.answer(format!("{verb:?}").into_bytes()),
                ended = &mut client => return ended.unwrap(),
            }
        }
    })
}

/// As while it is stopped. The first few can connect, all others wait even for that.
#[test]
fn a_daemon_that_takes_nobody_in_is_told_from_none() {
    let folder = Folder::new();
    let control = Control::open(&folder.socket_path()).unwrap().unwrap();
    for _ in 0..BACKLOG + 2 {
        let said = ask_within(&folder.socket_path(), "status", Duration::from_millis(10)).unwrap_err().to_string();
        assert!(said.starts_with("the daemon at ") && said.contains("does not answer: it is stopped"), "{said}");
    }
    let said = Control::open(&folder.socket_path()).unwrap_err().to_string();
    assert!(said.contains("another daemon answers there"), "{said}");
    drop(control);
}

#[test]
fn nobody_but_the_owner_can_ask() {
    let folder = Folder::new();
    let control = Control::open(&folder.socket_path()).unwrap().unwrap();
    let mode = fs::symlink_metadata(control.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["control"]);
}

#[test]
fn each_request_gets_its_answer() {
    let folder = Folder::new();
    let socket_path = folder.socket_path();
    let answers = with_daemon(&socket_path.clone(), move || {
        ["status", "status json", "takeover"].map(|verb| String::from_utf8(ask(&socket_path, verb).unwrap()).unwrap())
    });
    assert_eq!(answers, ["Status", "StatusJson", "Takeover"]);
}

#[test]
fn what_is_no_request_is_refused_in_words() {
    let folder = Folder::new();
    let socket_path = folder.socket_path();
    let refusals = with_daemon(&socket_path.clone(), move || {
        let long = "x".repeat(1000);
        ["stop", &long, "status\nstatus", ""].map(|line| ask(&socket_path, line).unwrap_err().to_string())
    });
    let [unknown, long, two, empty] = &refusals;
    assert!(unknown.contains("known are: status"), "{unknown}");
    assert!(long.contains("too long"), "{long}");
    assert!(two.contains("more than one line"), "{two}");
    assert!(empty.contains("known are: status"), "{empty}");
}

/// More clients than are served at once, none of which ever says anything.
#[test]
fn silent_clients_keep_nobody_out_for_long() {
    let folder = Folder::new();
    let socket_path = folder.socket_path();
    let answer = with_daemon(&socket_path.clone(), move || {
        let path = socket_path.path().unwrap();
        let silent: Vec<_> = (0..MAX_CLIENTS).map(|_| StdStream::connect(&path).unwrap()).collect();
        let answer = ask(&socket_path, "status").unwrap();
        for mut stream in silent {
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            assert_eq!(said, "error: no request came\n");
        }
        answer
    });
    assert_eq!(answer, b"Status");
}

#[test]
fn a_client_that_breaks_off_is_forgotten() {
    let folder = Folder::new();
    let socket_path = folder.socket_path();
    let answer = with_daemon(&socket_path.clone(), move || {
        for _ in 0..50 {
            let mut stream = StdStream::connect(socket_path.path().unwrap()).unwrap();
            stream.write_all(b"stat").unwrap();
        }
        ask(&socket_path, "status").unwrap()
    });
    assert_eq!(answer, b"Status");
}

#[test]
fn a_live_daemons_socket_is_left_alone_and_a_dead_ones_is_replaced() {
    let folder = Folder::new();
    let socket_path = folder.socket_path();
    let first = Control::open(&socket_path).unwrap().unwrap();
    let said = Control::open(&socket_path).unwrap_err().to_string();
    assert!(said.contains("another daemon answers there"), "{said}");
    // It dies without removing its file.
    let path = first.path().to_owned();
    let kept = folder.0.join("kept");
    fs::hard_link(&path, &kept).unwrap();
    drop(first);
    assert!(!path.exists());
    fs::rename(&kept, &path).unwrap();
    let second = Control::open(&socket_path).unwrap().unwrap();
    drop(second);
    assert!(!path.exists());
}

#[test]
fn a_successors_socket_survives_the_end_of_the_first() {
    let folder = Folder::new();
    let socket_path = folder.socket_path();
    let first = Control::open(&socket_path).unwrap().unwrap();
    let moved = folder.0.join("moved");
    fs::rename(first.path(), &moved).unwrap();
    let second = Control::open(&socket_path).unwrap().unwrap();
    drop(first);
    assert!(second.path().exists());
}

#[test]
fn a_file_that_is_no_socket_is_never_touched() {
    let folder = Folder::new();
    fs::write(folder.0.join("control"), "mine").unwrap();
    let said = Control::open(&folder.socket_path()).unwrap_err().to_string();
    assert!(said.contains("not the socket of an earlier daemon"), "{said}");
    assert_eq!(fs::read(folder.0.join("control")).unwrap(), b"mine");
}

#[test]
fn where_nobody_answers_one_line_says_so() {
    let folder = Folder::new();
    let said = ask(&folder.socket_path(), "status").unwrap_err().to_string();
    assert!(said.starts_with("no daemon answers at "), "{said}");
    assert!(matches!(ask(&SocketPath::Nowhere, "status"), Err(AskError::Nowhere)));
}
