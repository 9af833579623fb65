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
        let queues = line.split_whitespace().nth(4).unwrap();
        queues.split_once(':').unwrap().1.bytes().all(|digit| digit == b'0')
    });
}

fn await_line(address: SocketAddr, complaint: &str, wanted: impl Fn(&str) -> bool) {
    let file = if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    let socket = format!(" {}:{:04X} ", kernel_form(address), address.port());
    let deadline = Instant::now() + LONG_PATIENCE;
    loop {
        let list = fs::read_to_string(file).unwrap();
        let mut sockets = list.lines().filter(|line| line.contains(&socket)).peekable();
        if sockets.peek().is_some() && sockets.all(&wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{address}: {complaint}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An address as /proc/net/udp writes it: words of four bytes in the machine's order.
fn kernel_form(address: SocketAddr) -> String {
    let octets = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
        std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
    words.map(|word| format!("{word:08X}")).collect()
}
