//! What the kernel tells of the UDP sockets of other programs.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::LONG_PATIENCE;

/// Waits until a socket is bound. There is nothing to be told of it, so the
/// list of the kernel is read again and again.
pub fn await_socket(address: SocketAddr) {
    await_line(address, "nobody binds it", |_| true);
}

/// Waits until all that this thread sent to an address is read, from each of the
/// sockets that share it.
pub fn await_read(address: SocketAddr) {
    // A kernel with much to do hands packets out later, but in their order.
    let fence = UdpSocket::bind("127.0.0.1:0").unwrap();
    fence.send_to(b"fence", fence.local_addr().unwrap()).unwrap();
    fence.recv(&mut [0; 8]).unwrap();
    await_line(address, "it is not read", |line| {
        // `sl local_address rem_address st tx_queue:rx_queue ...`
        column(line, 4).split_once(':').unwrap().1.bytes().all(|digit| digit == b'0')
    });
}

/// Whether each open socket at an address had to drop something.
pub fn all_have_dropped(address: SocketAddr) -> bool {
    // `... inode ref pointer drops`; one that is connected has a rem_address.
    let is_open = |line: &&String| column(line, 2).bytes().all(|digit| matches!(digit, b'0' | b':'));
    sockets(address).iter().filter(is_open).all(|line| line.split_whitespace().next_back() != Some("0"))
}

/// Waits until a socket at an address is connected to another.
pub fn await_connected(address: SocketAddr, peer: SocketAddr) {
    let peer = kernel_form(peer);
    await_sockets(address, "it is not connected", |lines| lines.iter().any(|line| column(line, 2) == peer));
}

fn await_line(address: SocketAddr, complaint: &str, wanted: impl Fn(&str) -> bool) {
    await_sockets(address, complaint, |lines| !lines.is_empty() && lines.iter().all(|line| wanted(line)));
}

fn await_sockets(address: SocketAddr, complaint: &str, wanted: impl Fn(&[String]) -> bool) {
    let deadline = Instant::now() + LONG_PATIENCE;
    while !wanted(&sockets(address)) {
        assert!(Instant::now() < deadline, "{address}: {complaint}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The lines of the sockets that are bound to an address.
fn sockets(address: SocketAddr) -> Vec<String> {
    let file = if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    let (list, address) = (fs::read_to_string(file).unwrap(), kernel_form(address));
    list.lines().filter(|line| column(line, 1) == address).map(str::to_owned).collect()
}

fn column(line: &str, number: usize) -> &str {
    line.split_whitespace().nth(number).unwrap_or_default()
}

/// Address and port as /proc/net/udp writes them: words of four bytes in the machine's
/// order.
fn kernel_form(address: SocketAddr) -> String {
    let octets = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
    let words: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{words}:{:04X}", address.port())
}
