//! Programs that others wrote: Debian's baresip and kamailio.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::kernel::await_socket;
use super::{LONG_PATIENCE, PATIENCE};

/// The domain that the registrar serves. Nobody looks it up.
pub const DOMAIN: &str = "provider.example";
/// Octets before the sound in a file of it.
const WAV_HEADER: usize = 44;
/// The password of everybody.
const PASSWORD: &str = "secret";

/// A running program, ended with the test.
struct Program {
    child: Child,
    output: PathBuf,
}

impl Program {
    fn start(folder: &Path, name: &str, options: &[&str]) -> Self {
        let output = folder.join(format!("{name}.out"));
        let file = fs::File::create(&output).unwrap();
        let child = Command::new(name)
            .current_dir(folder)
            .args(options)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    /// Asks it to end, and waits until it has.
    fn end(&mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.end();
        }
        if thread::panicking() {
            let text = fs::read(&self.output).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).replace('\r', "\n");
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("(bit/s)")).collect();
            eprintln!("---- {} ----\n{}\n----", self.output.display(), lines.join("\n"));
        }
    }
}

/// A registrar and proxy: it challenges registrations, and stays in the dialogs.
pub struct Kamailio {
    _program: Program,
}

impl Kamailio {
    pub fn start(folder: &Folder, address: IpAddr) -> Self {
        let listen = super::uri::host(address);
        let configuration = format!(
            r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
disable_tcp=yes
dns=no
rev_dns=no
auto_aliases=no
alias="{DOMAIN}"
listen=udp:{listen}:5060
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "maxfwd.so"
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{DOMAIN}", "{PASSWORD}", "0")) {{ www_challenge("{DOMAIN}", "0"); exit; }}
        save("location");
        exit;
    }}
    if (is_method("INVITE")) record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Registered"); exit; }}
    t_relay();
}}
"#
        );
        fs::write(folder.path().join("kamailio.cfg"), configuration).unwrap();
        let here = folder.path().to_str().unwrap();
        let options = ["-f", "kamailio.cfg", "-m", "16", "-M", "4", "-w", here, "-Y", here, "-E", "-DD"];
        let program = Program::start(folder.path(), "kamailio", &options);
        await_socket((address, 5060).into());
        Self { _program: program }
    }
}

/// A telephone without sound card: it sends a sine, and keeps what it hears.
pub struct Baresip {
    program: Program,
    folder: PathBuf,
    control: TcpStream,
    unread: String,
}

impl Baresip {
    /// At `address`, with all requests to `proxy`; registered when this returns.
    pub fn start(folder: &Folder, user: &str, address: IpAddr, proxy: IpAddr, hertz: u16) -> Self {
        let home = folder.path().join(user);
        fs::create_dir_all(&home).unwrap();
        // Each has a control port of its own, named by its pitch.
        let control = 4000 + hertz;
        let (path, host) = (home.to_str().unwrap(), super::uri::host(address));
        let configuration = format!(
            "poll_method epoll\nsip_listen {host}:5060\nnet_interface {address}\n\
             audio_player aubridge,{user}\naudio_alert aubridge,alert\naudio_source ausine,{hertz}\n\
             ausrc_srate 48000\nausrc_channels 2\nmodule_path /usr/lib/baresip/modules\n\
             module g711.so\nmodule ausine.so\nmodule aubridge.so\nmodule sndfile.so\nsnd_path {path}\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n\
             ctrl_tcp_listen 127.0.0.1:{control}\n"
        );
        let proxy = super::uri::host(proxy);
        let account =
            format!("<sip:{user}@{DOMAIN}>;outbound=\"sip:{proxy}\";regint=60;auth_user={user};auth_pass={PASSWORD}\n");
        for (file, text) in [("config", &configuration), ("accounts", &account), ("contacts", &String::new())] {
            fs::write(home.join(file), text).unwrap();
        }
        let program = Program::start(&home, "baresip", &["-f", path]);
        let control = connect(control);
        let mut baresip = Self { program, folder: home, control, unread: String::new() };
        baresip.await_registered();
        baresip
    }

    fn await_registered(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.command("reginfo", "");
            if self.await_message(&["\"response\":true".to_owned()]).contains("OK") {
                return;
            }
            assert!(Instant::now() < deadline, "it never registers");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Gives it a command of its menu, as a netstring (JSON in it).
    pub fn command(&mut self, command: &str, parameters: &str) {
        let text = format!(r#"{{"command":"{command}","params":"{parameters}"}}"#);
        write!(self.control, "{}:{text},", text.len()).unwrap();
    }

    /// Waits for an event of this type, and forgets what came before it.
    pub fn await_event(&mut self, kind: &str) {
        self.await_events(&[kind]);
    }

    /// Waits for an event of each type, in any order.
    pub fn await_events(&mut self, kinds: &[&str]) {
        let mut missing: Vec<String> = kinds.iter().map(|kind| format!("\"type\":\"{kind}\"")).collect();
        while !missing.is_empty() {
            let message = self.await_message(&missing);
            missing.retain(|text| !message.contains(text));
        }
    }

    /// Waits for a message that contains one of these; those before it are let go.
    fn await_message(&mut self, texts: &[String]) -> String {
        let deadline = Instant::now() + LONG_PATIENCE;
        loop {
            while let Some(message) = self.next_message() {
                if texts.iter().any(|text| message.contains(text)) {
                    return message;
                }
            }
            assert!(Instant::now() < deadline, "none of {texts:?}; read so far: {}", self.unread);
            self.read();
        }
    }

    /// Takes one netstring off what was read.
    fn next_message(&mut self) -> Option<String> {
        let (length, rest) = self.unread.split_once(':')?;
        let length: usize = length.parse().unwrap();
        let message = rest.get(..length)?.to_owned();
        self.unread = rest.get(length + 1..)?.to_owned();
        Some(message)
    }

    fn read(&mut self) {
        let mut buffer = [0; 4096];
        match self.control.read(&mut buffer) {
            Ok(length) => self.unread.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What it has heard so far: samples at 8 kHz.
    pub fn heard(&self) -> Vec<i16> {
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let heard = files.filter(|file| file.to_str().unwrap().ends_with("-dec.wav"));
        let bytes: Vec<u8> = heard.flat_map(|file| fs::read(file).unwrap().into_iter().skip(WAV_HEADER)).collect();
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }

    /// Waits until it has heard a second of the other.
    pub fn await_sound(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.heard().len() < 8000 {
            assert!(Instant::now() < deadline, "it hears {} samples in all", self.heard().len());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it says that it sends and hears, by figures of which none is of
    /// before. (It keeps no sound after the first hold.)
    pub fn await_stream(&self) {
        let (before, _) = self.figures();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (now, [sent, heard]) = self.figures();
            if now >= before + 3 && sent > 0 && heard > 0 {
                return;
            }
            assert!(Instant::now() < deadline, "it sends {sent} bit/s and hears {heard} after {now} s");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The newest figures on its screen: the seconds of the call, and the bits that it
    /// sent and heard in the last one. `[0:00:39] audio=64000/64000 (bit/s)`
    fn figures(&self) -> (u32, [u32; 2]) {
        let screen = fs::read(&self.program.output).unwrap();
        let read = |text: &str| -> Option<(u32, [u32; 2])> {
            let (time, rates) = text.strip_prefix('[')?.strip_suffix(" (bit/s)")?.split_once("] audio=")?;
            let time = time.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.trim().parse::<u32>().ok()?))?;
            let (sent, heard) = rates.split_once('/')?;
            Some((time, [sent.parse().ok()?, heard.parse().ok()?]))
        };
        String::from_utf8_lossy(&screen).rsplit(['\r', '\n']).find_map(|text| read(text.trim())).unwrap_or_default()
    }
}

fn connect(port: u16) -> TcpStream {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            return stream;
        }
        assert!(Instant::now() < deadline, "nobody listens at control port {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// How much of the sound is a sine of this pitch: 1 is all (Goertzel's algorithm).
pub fn share_of(samples: &[i16], hertz: u16) -> f64 {
    const WINDOW: usize = 800;
    let step = std::f64::consts::TAU * f64::from(hertz) / 8000.0;
    let (mut tone, mut all) = (0.0, 0.0);
    for window in samples.chunks_exact(WINDOW) {
        let (mut one, mut two) = (0.0, 0.0);
        for &sample in window {
            (one, two) = (f64::from(sample) + 2.0 * step.cos() * one - two, one);
            all += f64::from(sample) * f64::from(sample);
        }
        tone += (one * one + two * two - 2.0 * step.cos() * one * two) * 2.0 / 800.0;
    }
    tone / f64::max(all, 1.0)
}
