//! One SIP socket: sends, and receives strictly in order.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::PATIENCE;
use super::message::{Message, unique};
use super::uri::{address_of, host, parameter};

/// The SIP socket of a peer.
#[derive(Debug)]
pub struct Agent {
    /// Who it is, for whoever reads the failure.
    pub name: &'static str,
    /// Its address.
    pub address: SocketAddr,
    /// Host and port as its Via has them: behind NAT not those of the socket.
    pub sent_by: String,
    socket: UdpSocket,
}

/// A message and where it came from.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message.
    pub message: Message,
    /// The source of the packet.
    pub source: SocketAddr,
}

impl Agent {
    /// Binds `address`, with port.
    pub fn bind(name: &'static str, address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap_or_else(|error| panic!("{name} on {address}: {error}"));
        // As much as may be had: a test that is held up loses nothing.
        SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
        let address = socket.local_addr().unwrap();
        Self { name, address, sent_by: address.to_string(), socket }
    }

    /// Host and port as they stand in a Via or URI.
    pub fn hostport(&self) -> String {
        self.address.to_string()
    }

    /// The host as it stands in a URI.
    pub fn host(&self) -> String {
        host(self.address.ip())
    }

    /// A Via of this agent with a branch not used yet. Behind NAT it does not
    /// ask for `rport=`: nor do the phones that need it most.
    pub fn via(&self) -> String {
        let rport = if self.sent_by == self.address.to_string() { ";rport" } else { "" };
        format!("SIP/2.0/UDP {};branch={}{rport}", self.sent_by, unique("z9hG4bKt"))
    }

    /// Sends a message to an address with port.
    pub fn send(&self, message: &Message, to: &str) {
        self.send_bytes(&message.to_wire(), address_of(to));
    }

    /// Sends any bytes. A peer that is not there is not our failure.
    pub fn send_bytes(&self, bytes: &[u8], to: SocketAddr) {
        match self.socket.send_to(bytes, to) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("{} to {to}: {error}", self.name),
        }
    }

    /// The next message, if one comes in time.
    pub fn receive_within(&self, time: Duration) -> Option<Received> {
        let (datagram, source) = self.receive_bytes_within(time)?;
        let message = Message::parse(&datagram).unwrap_or_else(|error| {
            panic!("{} got no SIP message from {source}: {error}\n{}", self.name, String::from_utf8_lossy(&datagram))
        });
        Some(Received { message, source })
    }

    fn receive_bytes_within(&self, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1)))).unwrap();
        let mut buffer = vec![0; 65536];
        let (length, source) = self.socket.recv_from(&mut buffer).ok()?;
        buffer.truncate(length);
        Some((buffer, source))
    }

    /// The next message.
    pub fn receive(&self) -> Received {
        self.receive_within(PATIENCE).unwrap_or_else(|| panic!("{} waits in vain for a message", self.name))
    }

    /// The first message for which `wanted` holds; what comes before it is let
    /// go, whether SIP or not.
    pub fn receive_until_within(&self, time: Duration, wanted: impl Fn(&Message) -> bool) -> Option<Received> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (datagram, source) = self.receive_bytes_within(left)?;
            if let Some(message) = Message::parse(&datagram).ok().filter(&wanted) {
                return Some(Received { message, source });
            }
        }
    }

    /// The next message, which must be a request of that method. Its topmost
    /// Via must name the address that it came from (RFC 3261 §18.1.1), and no
    /// Route may be left at a user agent.
    pub fn receive_request(&self, method: &str) -> Received {
        let received = self.receive();
        let Received { message, source } = &received;
        assert_eq!(message.method(), Some(method), "{} waits for {method}, but gets\n{message}", self.name);
        assert_eq!(sent_by(message.value("Via")), *source, "topmost Via of\n{message}");
        assert_eq!(message.all("Route"), Vec::<&str>::new(), "Routes are left at {}:\n{message}", self.name);
        received
    }

    /// The next message, which must be the response of that status to `request`,
    /// and belong to it as RFC 3261 §8.2.6.2 says: From, To, Call-ID and CSeq as
    /// they were written, and one Via.
    pub fn receive_response(&self, status: u16, request: &Message) -> Received {
        let received = self.receive();
        self.assert_response(&received.message, status, request);
        received
    }

    /// What [`Agent::receive_response`] asserts.
    pub fn assert_response(&self, response: &Message, status: u16, request: &Message) {
        assert_eq!(response.status(), Some(status), "{} waits for {status}, but gets\n{response}", self.name);
        for name in ["From", "Call-ID", "CSeq"] {
            assert_eq!(response.value(name), request.value(name), "{name} of what {} gets:\n{response}", self.name);
        }
        let (to, asked) = (response.value("To"), request.value("To"));
        let added = to.strip_prefix(asked);
        assert!(
            added.is_some_and(|rest| rest.is_empty() || rest.starts_with(";tag=")),
            "To {asked} came back:\n{response}"
        );
        assert_eq!(response.all("Via").len(), 1, "Vias of what {} gets:\n{response}", self.name);
        let (sent, back) = (request.value("Via"), response.value("Via"));
        assert_eq!(parameter(back, "branch"), parameter(sent, "branch"), "topmost Via of\n{response}");
        assert_eq!(sent_by(back), sent_by(sent), "topmost Via of\n{response}");
    }

    /// Sends `response` to `request` where its topmost Via says (RFC 3261 §18.2.2).
    pub fn respond(&self, request: &Received, response: &Message) {
        let via = request.message.value("Via");
        self.send_bytes(&response.to_wire(), sent_by(via));
    }
}

/// A response to `request` by RFC 3261 §8.2.6.2, without body. Other than a 100
/// it carries `to_tag` and, where a dialog may come of it, the Record-Routes.
pub fn response_to(request: &Message, status: u16, reason: &str, to_tag: &str) -> Message {
    let mut response = Message { start: format!("SIP/2.0 {status} {reason}"), fields: Vec::new(), body: String::new() };
    let opens_dialog = (101..300).contains(&status);
    for (name, value) in &request.fields {
        let copied = ["Via", "From", "Call-ID", "CSeq"].iter().any(|wanted| name.eq_ignore_ascii_case(wanted));
        if copied || opens_dialog && name.eq_ignore_ascii_case("Record-Route") {
            response = response.with(name, value);
        } else if name.eq_ignore_ascii_case("To") {
            let tagless = status == 100 || parameter(value, "tag").is_some();
            response = response.with(name, if tagless { value.clone() } else { format!("{value};tag={to_tag}") });
        }
    }
    response
}

/// The sent-by of a Via that is numeric.
pub fn sent_by(via: &str) -> SocketAddr {
    let after_protocol = via.split_once(' ').expect("a Via has a sent-by").1;
    address_of(after_protocol.split([';', ',']).next().unwrap().trim())
}
