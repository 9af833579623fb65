//! What was granted, written into a description.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::attributes::{Disposition, cut_connection_capability, cut_option, disposition};
use super::wanted::MAX_STREAMS;
use crate::edit::Edits;
use crate::family::{Family, PerFamily};
use crate::scan::Span;
use crate::sdp::connection::{Address, Connection, Origin};
use crate::sdp::description::{Description, MediaDescription, Section};
use crate::sdp::line::{Attribute, Line};
use crate::sdp::media::Rtcp;
use crate::streams::Grant;

/// Adds to `edits` what makes `description` leave on the other side than
/// `arrival`: our address of that side (`listen`) and the granted ports.
///
/// `grants` has one entry for each `m=` line, in order; a stream without one, or
/// behind the first [`MAX_STREAMS`], is refused. Nothing changes if all streams
/// are granted [`Grant::Untouched`].
pub fn edits(
    description: &Description<'_>,
    grants: &[Grant],
    arrival: Family,
    listen: PerFamily<IpAddr>,
    edits: &mut Edits,
) {
    let mut streams = description.media().enumerate();
    if streams.all(|(index, _)| grant(grants, index) == Grant::Untouched) {
        return;
    }
    let outgoing = arrival.other();
    let plan = Plan::new(description, grants, outgoing);
    let mut writer = Writer {
        message: description.message(),
        line_end: description.line_end(),
        session_connection: description.session().connections().next(),
        plan,
        outgoing,
        ours: listen[outgoing],
        edits,
    };
    writer.session(&description.session());
    for (index, media) in description.media().enumerate() {
        writer.stream(&media, Fate::of(&media, description.message(), grant(grants, index)));
    }
}

/// What the table says of the stream at `index`.
fn grant(grants: &[Grant], index: usize) -> Grant {
    grants.get(index).copied().filter(|_| index < MAX_STREAMS).unwrap_or(Grant::Refused)
}

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It passes as it is.
    Kept,
    /// It gets this port of ours.
    Relayed(u16),
    /// It gets port 0.
    Refused,
    /// Its port stays: it was 0, or no media stands behind it.
    Idle,
}

impl Fate {
    fn of(media: &MediaDescription<'_>, message: &[u8], grant: Grant) -> Self {
        match grant {
            _ if media.line.port == 0 || media.line.is_within_sip(message) => Self::Idle,
            Grant::Untouched => Self::Kept,
            Grant::Relayed { port } => Self::Relayed(port),
            Grant::Refused => Self::Refused,
        }
    }
}

/// What is done at session level, which depends on all streams.
#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    /// The `c=` line becomes ours; a stream that passes as it is and has none of
    /// its own gets a copy. Otherwise it stays, and it is the relayed streams
    /// that get one.
    takes_connection: bool,
    /// Attributes that would lead past the relay go.
    cuts_attributes: bool,
    /// What goes holds the credentials of ICE for all streams: without them no
    /// stream can use it.
    ends_ice: bool,
}

impl Plan {
    fn new(description: &Description<'_>, grants: &[Grant], outgoing: Family) -> Self {
        let (mut keeps, mut changes, mut kept_inherits, mut other_inherits) = (false, false, false, false);
        for (index, media) in description.media().enumerate() {
            let fate = Fate::of(&media, description.message(), grant(grants, index));
            let inherits = media.section.connections().next().is_none();
            keeps |= fate == Fate::Kept;
            changes |= matches!(fate, Fate::Relayed(_) | Fate::Refused);
            kept_inherits |= inherits && fate == Fate::Kept;
            other_inherits |= inherits && fate != Fate::Kept;
        }
        let session = description.session();
        let is_outgoing = session.connections().all(|connection| is_of(connection.address, outgoing));
        let cuts_attributes = changes || !keeps;
        Self {
            takes_connection: if is_outgoing {
                other_inherits && !kept_inherits
            } else {
                other_inherits || !kept_inherits
            },
            cuts_attributes,
            ends_ice: cuts_attributes && (session.has("ice-ufrag") || session.has("ice-pwd")),
        }
    }
}

/// Whether an address is one of `family` and written so. An IPv4-mapped one,
/// IPv4 in the dress of IPv6, is of neither.
fn is_of(address: Address, family: Family) -> bool {
    match address {
        Address::Numeric(written) => Family::of(written) == family && address.canonical() == Some(written),
        Address::Name | Address::Foreign => false,
    }
}

struct Writer<'a, 'e> {
    message: &'a [u8],
    line_end: &'static str,
    session_connection: Option<Connection>,
    plan: Plan,
    outgoing: Family,
    ours: IpAddr,
    edits: &'e mut Edits,
}

impl Writer<'_, '_> {
    /// The session section.
    fn session(&mut self, session: &Section<'_>) {
        if self.plan.takes_connection {
            self.connections(session);
        }
        for line in session.lines() {
            self.origin(&line);
            let attribute = line.attribute(self.message).filter(|_| self.plan.cuts_attributes);
            if let Some(attribute) = attribute {
                self.attribute(&attribute, Fate::Refused);
            }
        }
    }

    /// One media section.
    fn stream(&mut self, media: &MediaDescription<'_>, fate: Fate) {
        match fate {
            Fate::Relayed(port) => self.edits.replace(media.line.port_span.range(), port),
            Fate::Refused => self.edits.replace(media.line.port_span.range(), "0"),
            Fate::Kept | Fate::Idle => {}
        }
        if media.section.connections().next().is_none() {
            self.own_connection(media, fate);
        } else if self.must_change(&media.section, fate) {
            self.connections(&media.section);
        }
        let shares_port = media.is_rtcp_mux().then_some(media.line.port);
        for line in media.section.lines() {
            if fate != Fate::Kept {
                self.origin(&line);
            }
            if let Some(attribute) = line.attribute(self.message) {
                self.stream_attribute(&attribute, fate, shares_port);
            }
        }
    }

    /// Whether the `c=` lines of a stream become ours.
    fn must_change(&self, section: &Section<'_>, fate: Fate) -> bool {
        match fate {
            Fate::Kept => false,
            Fate::Relayed(_) => true,
            Fate::Refused | Fate::Idle => {
                section.connections().any(|connection| !is_of(connection.address, self.outgoing))
            }
        }
    }

    /// Makes the first `c=` line of a section ours and cuts the others.
    fn connections(&mut self, section: &Section<'_>) {
        let mut lines = section.lines().filter(|line| line.kind == b'c');
        let first = lines.next().and_then(|line| Connection::read(self.message, line.value).ok());
        if let Some(connection) = first {
            let ours = self.in_place_of(Some(connection.address));
            self.edits.replace(connection.span.range(), ("IN ", self.outgoing.sdp_name(), " ", ours));
        }
        lines.for_each(|line| self.edits.remove(line.whole.range()));
    }

    /// Gives a stream that lived on the session's `c=` line one of its own where
    /// that line no longer fits.
    fn own_connection(&mut self, media: &MediaDescription<'_>, fate: Fate) {
        let Some(session) = self.session_connection else { return };
        let message = self.message;
        match (fate, self.plan.takes_connection) {
            (Fate::Kept, true) => self.insert_connection(media, |at, edits| {
                edits.replace(at..at, session.span.of(message));
            }),
            (Fate::Relayed(_), false) => {
                let (addrtype, ours) = (self.outgoing.sdp_name(), self.in_place_of(Some(session.address)));
                self.insert_connection(media, |at, edits| edits.insert(at, ("IN ", addrtype, " ", ours)));
            }
            _ => {}
        }
    }

    /// Inserts a `c=` line where it belongs in a media section; `value` inserts
    /// what it says.
    fn insert_connection(&mut self, media: &MediaDescription<'_>, value: impl FnOnce(usize, &mut Edits)) {
        let Some(before) = media.line_before_connection() else { return };
        let at = before.whole.end;
        // Behind a last line without a line end, ours has none either.
        let (front, back) = if before.is_ended() { ("", self.line_end) } else { (self.line_end, "") };
        self.edits.insert(at, (front, "c="));
        value(at, self.edits);
        self.edits.insert(at, back);
    }

    /// An `o=` line. A name in it stays.
    fn origin(&mut self, line: &Line) {
        let Some(origin) = (line.kind == b'o').then(|| Origin::read(self.message, line.value)).flatten() else {
            return;
        };
        let addrtype = self.outgoing.sdp_name();
        match origin.address {
            Some(Address::Name) => self.edits.replace(origin.addrtype.range(), addrtype),
            Some(address) if is_of(address, self.outgoing) => {}
            address => {
                let ours = self.in_place_of(address);
                self.edits.replace(origin.span.range(), (addrtype, " ", ours));
            }
        }
    }

    /// An attribute of a media section. `shares_port`: the RTP port, where RTCP
    /// may be on it too.
    fn stream_attribute(&mut self, attribute: &Attribute, fate: Fate, shares_port: Option<u16>) {
        match (disposition(self.message, attribute), fate) {
            (Disposition::Ice, Fate::Kept) if self.plan.ends_ice => self.cut(attribute),
            (_, Fate::Kept) => {}
            (Disposition::Rtcp, Fate::Relayed(port)) => self.rtcp(attribute, port, shares_port),
            _ => self.attribute(attribute, fate),
        }
    }

    /// An attribute of the session section, or of a stream that is not kept.
    fn attribute(&mut self, attribute: &Attribute, fate: Fate) {
        match disposition(self.message, attribute) {
            Disposition::Stay => {}
            Disposition::Ice | Disposition::Cut => self.cut(attribute),
            Disposition::CutIfRefused if matches!(fate, Fate::Relayed(_)) => {}
            Disposition::CutIfRefused => self.cut(attribute),
            // Nothing is sent to the port of a refused stream; an address goes.
            Disposition::Rtcp => match self.read_rtcp(attribute) {
                Some(Rtcp { address: None, .. }) => {}
                _ => self.cut(attribute),
            },
            Disposition::Options => cut_option(self.message, attribute, self.edits),
            Disposition::Configuration => cut_connection_capability(self.message, attribute, self.edits),
        }
    }

    /// `a=rtcp` of a relayed stream: RTCP is next to RTP, or on the same port
    /// where it was and may be (RFC 5761). A placeholder stays one. Without the
    /// line, RTCP is next to RTP too, so one that cannot be read goes.
    fn rtcp(&mut self, attribute: &Attribute, port: u16, shares_port: Option<u16>) {
        let (Some(rtcp), Some(value)) = (self.read_rtcp(attribute), attribute.value) else {
            return self.cut(attribute);
        };
        let shares = shares_port == Some(rtcp.port);
        let is_nowhere = rtcp.address.is_some_and(Address::is_unspecified);
        let port = match (is_nowhere, shares) {
            (true, _) => rtcp.port,
            (false, true) => port,
            (false, false) => port.saturating_add(1),
        };
        match rtcp.address {
            None => self.edits.replace(value.range(), port),
            address => {
                let (addrtype, ours) = (self.outgoing.sdp_name(), self.in_place_of(address));
                self.edits.replace(value.range(), (port, " IN ", addrtype, " ", ours));
            }
        }
    }

    fn read_rtcp(&self, attribute: &Attribute) -> Option<Rtcp> {
        Rtcp::read(self.message, attribute.value?)
    }

    fn cut(&mut self, attribute: &Attribute) {
        let Span { start, end } = attribute.line.whole;
        self.edits.remove(start..end);
    }

    /// Our address, or "nowhere" in the place of "nowhere": 0.0.0.0 and `::`.
    fn in_place_of(&self, address: Option<Address>) -> IpAddr {
        match (address.is_some_and(Address::is_unspecified), self.outgoing) {
            (false, _) => self.ours,
            (true, Family::V4) => Ipv4Addr::UNSPECIFIED.into(),
            (true, Family::V6) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

#[cfg(test)]
mod tests;
