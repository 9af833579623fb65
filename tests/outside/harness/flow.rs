//! RTP that goes on and on beside a test, both ways of any number of calls.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::media::{Bridge, rtp_packet};

/// The time between two packets.
const EACH: Duration = Duration::from_millis(20);

/// Packets of one direction that may be under way: fewer than any socket holds, so
/// that none is lost because this machine was busy elsewhere for a while.
const UNDER_WAY: u16 = 100;

/// One direction of one call.
#[derive(Debug)]
struct Wire {
    from: UdpSocket,
    ssrc: u32,
    to: SocketAddr,
    at: UdpSocket,
    relay: SocketAddr,
    received: u16,
}

impl Wire {
    fn send(&self, number: u16) {
        self.from.send_to(&rtp_packet(self.ssrc, "flow", number), self.to).unwrap();
    }

    /// Takes in what has come: each packet, in its order, from the relay.
    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((length, source)) = self.at.recv_from(&mut buffer) {
            let wanted = rtp_packet(self.ssrc, "flow", self.received);
            let number = u16::from_be_bytes([buffer[2], buffer[3]]);
            let here = self.at.local_addr().unwrap();
            assert_eq!(buffer[..length], wanted, "packet {number} at {here}, but {} is next", self.received);
            assert_eq!(source, self.relay, "source of packet {number} at {here}");
            self.received += 1;
        }
    }
}

/// RTP that goes both ways.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u16, u16)>,
}

impl Flow {
    /// Begins to send over these calls. Their sockets are the flow's until its end.
    pub fn start(bridges: &[Bridge<'_>]) -> Self {
        let mut wires: Vec<Wire> = bridges.iter().flat_map(wires).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !told.load(Ordering::Relaxed) {
                let next = Instant::now() + EACH;
                if wires.iter().all(|wire| sent - wire.received < UNDER_WAY) {
                    wires.iter().for_each(|wire| wire.send(sent));
                    sent += 1;
                }
                wires.iter_mut().for_each(Wire::receive);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            let deadline = Instant::now() + PATIENCE;
            while wires.iter().any(|wire| wire.received < sent) && Instant::now() < deadline {
                wires.iter_mut().for_each(Wire::receive);
                thread::sleep(Duration::from_millis(1));
            }
            let fewest = wires.iter().map(|wire| wire.received).min().unwrap();
            wires.iter().for_each(|wire| wire.from.set_nonblocking(false).unwrap());
            (sent, fewest)
        });
        Self { stop, thread }
    }

    /// Asserts that not one packet was lost; how many went each way.
    pub fn assert_lost_none(self) -> u16 {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, fewest) = self.thread.join().expect("all packets come in order, from the relay");
        assert_eq!(fewest, sent, "packets of {sent} that arrived where the most were lost");
        sent
    }
}

fn wires(bridge: &Bridge<'_>) -> [Wire; 2] {
    let (one, other) = (bridge.one, bridge.other);
    [(one, other), (other, one)].map(|((from, told), (at, relay))| {
        let (from, ssrc) = from.rtp_socket();
        let (at, _) = at.rtp_socket();
        from.set_nonblocking(true).unwrap();
        Wire { from, ssrc, to: told.rtp, at, relay: relay.rtp, received: 0 }
    })
}
