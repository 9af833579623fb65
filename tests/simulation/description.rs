//! Session descriptions as simple user agents write and read them (RFC 8866, RFC 3264).

use std::net::{IpAddr, SocketAddr};

/// Who sends media, seen from the one whose description it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    Send,
    Receive,
    Neither,
}

impl Direction {
    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::Both | Self::Send)
    }

    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::Both | Self::Receive)
    }

    fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::Both,
            (true, false) => Self::Send,
            (false, true) => Self::Receive,
            (false, false) => Self::Neither,
        }
    }

    /// The answer to an offer of this direction (RFC 3264 §6.1).
    pub(crate) fn answer(self, holds: bool) -> Self {
        Self::of(self.receives(), self.sends() && !holds)
    }

    fn attribute(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::Send => "sendonly",
            Self::Receive => "recvonly",
            Self::Neither => "inactive",
        }
    }
}

/// An `m=` line of one's own description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) kind: &'static str,
    /// 0: refused or removed.
    pub(crate) port: u16,
    pub(crate) direction: Direction,
    pub(crate) mux: bool,
    /// RTCP elsewhere than at the next port (RFC 3605).
    pub(crate) rtcp: Option<u16>,
    pub(crate) codecs: u8,
}

impl Line {
    pub(crate) fn rtcp_port(&self) -> u16 {
        if self.mux { self.port } else { self.rtcp.unwrap_or(self.port + 1) }
    }
}

/// How a user agent writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) address: IpAddr,
    /// `c=` stands in each media section.
    pub(crate) media_level: bool,
    /// It offers `a=rtcp-mux`.
    pub(crate) mux: bool,
    /// It names its RTCP port, which is no neighbour.
    pub(crate) names_rtcp: bool,
    /// It holds as RFC 2543 did: by the unspecified address.
    pub(crate) old_hold: bool,
    /// It takes another port for a line now and then. Behind a NAT that is a race
    /// between the description and the media, which a latch need not win.
    pub(crate) moves: bool,
}

impl Style {
    fn connection(&self, held: bool) -> String {
        let (kind, nowhere) = if self.address.is_ipv4() { ("IP4", "0.0.0.0") } else { ("IP6", "::") };
        if held && self.old_hold { format!("IN {kind} {nowhere}") } else { format!("IN {kind} {}", self.address) }
    }

    /// A whole description.
    pub(crate) fn write(&self, user: &str, version: u32, lines: &[Line]) -> String {
        let held = lines.iter().all(|line| line.port == 0 || !line.direction.receives());
        let connection = self.connection(held);
        let mut text = format!("v=0\r\no={user} 7 {version} {}\r\ns=-\r\n", self.connection(false));
        if !self.media_level {
            text += &format!("c={connection}\r\n");
        }
        text += "t=0 0\r\n";
        for line in lines {
            text += &self.media(line, &connection);
        }
        text
    }

    fn media(&self, line: &Line, connection: &str) -> String {
        let formats = ["0", "8 0", "0 8 101", "9"][usize::from(line.codecs % 4)];
        let (transport, formats) = match line.kind {
            "image" => ("udptl", "t38"),
            "video" => ("RTP/AVP", "96"),
            _ => ("RTP/AVP", formats),
        };
        let mut text = format!("m={} {} {transport} {formats}\r\n", line.kind, line.port);
        if self.media_level {
            text += &format!("c={connection}\r\n");
        }
        if line.port == 0 {
            return text;
        }
        if line.mux {
            text += "a=rtcp-mux\r\n";
        }
        if let Some(port) = line.rtcp {
            text += &format!("a=rtcp:{port}\r\n");
        }
        text + &format!("a={}\r\n", line.direction.attribute())
    }
}

/// An `m=` line of the other party, as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) rtp: SocketAddr,
    rtcp: SocketAddr,
    pub(crate) mux: bool,
    pub(crate) direction: Direction,
    pub(crate) kind: &'static str,
}

impl Told {
    /// Where RTCP goes.
    pub(crate) fn rtcp(&self) -> SocketAddr {
        if self.mux { self.rtp } else { self.rtcp }
    }

    pub(crate) fn is_rtp(&self) -> bool {
        self.kind != "image"
    }

    pub(crate) fn is_open(&self) -> bool {
        self.rtp.port() != 0
    }
}

/// Reads a description.
pub(crate) fn read(text: &str) -> Vec<Told> {
    let mut session: Option<IpAddr> = None;
    let mut lines: Vec<Told> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split([' ', ':']).collect();
        if let Some(connection) = line.strip_prefix("c=") {
            let address: IpAddr = connection.rsplit(' ').next().unwrap().parse().unwrap();
            session = session.or(Some(address));
            if let Some(told) = lines.last_mut() {
                told.rtp.set_ip(address);
                told.rtcp.set_ip(address);
            }
        } else if line.starts_with("m=") {
            let port: u16 = words[1].parse().unwrap();
            let address = session.unwrap_or(IpAddr::from([0, 0, 0, 0]));
            let kinds = ["m=audio", "m=video", "m=image"];
            let kind = kinds.into_iter().find(|kind| *kind == words[0]).unwrap_or_default().trim_start_matches("m=");
            let (rtp, rtcp) = (SocketAddr::new(address, port), SocketAddr::new(address, port.wrapping_add(1)));
            lines.push(Told { rtp, rtcp, mux: false, direction: Direction::Both, kind });
        } else if let (Some(attribute), Some(told)) = (line.strip_prefix("a="), lines.last_mut()) {
            match attribute {
                "rtcp-mux" => told.mux = true,
                "sendonly" => told.direction = Direction::Send,
                "recvonly" => told.direction = Direction::Receive,
                "inactive" => told.direction = Direction::Neither,
                _ if words[0] == "a=rtcp" => {
                    told.rtcp.set_port(words[1].parse().unwrap());
                    if let Some(address) = line.rsplit(' ').next().and_then(|word| word.parse::<IpAddr>().ok()) {
                        told.rtcp.set_ip(address);
                    }
                }
                _ => {}
            }
        }
    }
    for told in &mut lines {
        if told.rtp.ip().is_unspecified() && told.direction.receives() {
            told.direction = if told.direction.sends() { Direction::Send } else { Direction::Neither };
        }
    }
    lines
}
