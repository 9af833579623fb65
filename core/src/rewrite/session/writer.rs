//! What was granted, written into a description.

use super::attributes::{Disposition, cut_connection_capability, cut_option, disposition};
use crate::edit::Edits;
use crate::family::Family;
use crate::sdp::attribute::Attribute;
use crate::sdp::connection::{Address, Connection, Origin};
use crate::sdp::description::{Description, MediaDescription, Section, Statement};
use crate::sdp::line::Line;
use crate::sdp::media::Rtcp;
use crate::streams::{Grant, MAX_STREAMS};

/// Adds to `edits` what makes `description` leave on the other side than
/// `arrival`: the granted ports, and our address of that side, by the value of a `c=`
/// line with it (`ours`).
///
/// `grants` has one entry for each `m=` line, in order; a stream without one, or
/// behind the first [`MAX_STREAMS`], is refused. If all streams are granted
/// [`Grant::Untouched`], nothing changes but the unspecified address of a hold.
pub fn edits(description: &Description<'_>, grants: &[Grant], arrival: Family, ours: &[u8], edits: &mut Edits) {
    let outgoing = arrival.other();
    let mut streams = description.media().enumerate().peekable();
    if streams.peek().is_some() && streams.all(|(index, _)| grant(grants, index) == Grant::Untouched) {
        return nowhere_there(description, outgoing, edits);
    }
    let plan = Plan::new(description, grants, outgoing);
    let mut writer = Writer { description, plan, outgoing, ours, edits };
    writer.session();
    for (index, media) in description.media().enumerate() {
        writer.stream(media, Fate::of(media, description.message(), grant(grants, index)));
    }
}

/// Writes "nowhere" as the other side does, in a description that else stays as it is.
fn nowhere_there(description: &Description<'_>, outgoing: Family, edits: &mut Edits) {
    let sections = std::iter::once(description.session()).chain(description.media().map(|media| &media.section));
    for statement in sections.flat_map(|section| description.statements(section)) {
        if let Statement::Connection(_, Connection { address, span, .. }) = statement
            && address.is_unspecified()
            && !is_of(*address, outgoing)
        {
            edits.replace(span.range(), nowhere(outgoing));
        }
    }
}

/// The unspecified address, as a `c=` line says it.
fn nowhere(family: Family) -> &'static [u8] {
    match family {
        Family::V4 => b"IN IP4 0.0.0.0",
        Family::V6 => b"IN IP6 ::",
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
    fn of(media: &MediaDescription, message: &[u8], grant: Grant) -> Self {
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
            let fate = Fate::of(media, description.message(), grant(grants, index));
            let inherits = media.section.connection.is_none();
            keeps |= fate == Fate::Kept;
            changes |= matches!(fate, Fate::Relayed(_) | Fate::Refused);
            kept_inherits |= inherits && fate == Fate::Kept;
            other_inherits |= inherits && fate != Fate::Kept;
        }
        let session = description.session();
        let is_outgoing = !names_other(description, session, outgoing);
        let cuts_attributes = changes || !keeps;
        Self {
            takes_connection: if is_outgoing {
                other_inherits && !kept_inherits
            } else {
                other_inherits || !kept_inherits
            },
            cuts_attributes,
            ends_ice: cuts_attributes && session.has_ice_credentials,
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

/// Whether a `c=` line of a section names something else than an address of
/// `family`.
fn names_other(description: &Description<'_>, section: &Section, family: Family) -> bool {
    let is_other = |statement: &Statement| matches!(statement, Statement::Connection(_, connection) if !is_of(connection.address, family));
    description.statements(section).iter().any(is_other)
}

struct Writer<'a> {
    description: &'a Description<'a>,
    plan: Plan,
    outgoing: Family,
    ours: &'a [u8],
    edits: &'a mut Edits,
}

impl<'a> Writer<'a> {
    /// The session section.
    fn session(&mut self) {
        let session = self.description.session();
        for statement in self.description.statements(session) {
            match statement {
                Statement::Origin(line) => self.origin(line),
                Statement::Connection(line, connection) if self.plan.takes_connection => {
                    self.connection(session, line, connection);
                }
                Statement::Attribute(attribute) if self.plan.cuts_attributes => {
                    self.attribute(attribute);
                }
                Statement::Connection(..) | Statement::Attribute(_) => {}
            }
        }
    }

    /// One media section.
    fn stream(&mut self, media: &MediaDescription, fate: Fate) {
        match fate {
            Fate::Relayed(port) => self.edits.replace(media.line.port_span.range(), port),
            Fate::Refused => self.edits.replace(media.line.port_span.range(), "0"),
            Fate::Kept | Fate::Idle => {}
        }
        if media.section.connection.is_none() {
            self.own_connection(media, fate);
        }
        let takes_connection = self.must_change(&media.section, fate);
        for statement in self.description.statements(&media.section) {
            match statement {
                Statement::Origin(line) if fate != Fate::Kept => self.origin(line),
                Statement::Connection(line, connection) if takes_connection => {
                    self.connection(&media.section, line, connection);
                }
                Statement::Attribute(attribute) => self.stream_attribute(attribute, fate, media),
                Statement::Origin(_) | Statement::Connection(..) => {}
            }
        }
    }

    /// Whether the `c=` lines of a stream become ours.
    fn must_change(&self, section: &Section, fate: Fate) -> bool {
        match fate {
            Fate::Kept => false,
            Fate::Relayed(_) => true,
            Fate::Refused | Fate::Idle => names_other(self.description, section, self.outgoing),
        }
    }

    /// The first `c=` line of a section becomes ours, the others are cut.
    fn connection(&mut self, section: &Section, line: &Line, connection: &Connection) {
        if section.connection.is_some_and(|first| first.span == connection.span) {
            let ours = self.in_place_of(Some(connection.address));
            self.edits.replace(connection.span.range(), ours);
        } else {
            self.edits.remove(line.whole().range());
        }
    }

    /// Gives a stream that lived on the session's `c=` line one of its own where
    /// that line no longer fits.
    fn own_connection(&mut self, media: &MediaDescription, fate: Fate) {
        let Some(session) = self.description.session().connection else { return };
        let message = self.description.message();
        match (fate, self.plan.takes_connection) {
            (Fate::Kept, true) => self.insert_connection(media, |at, edits| {
                edits.replace(at..at, session.span.of(message));
            }),
            (Fate::Relayed(_), false) => {
                let ours = self.in_place_of(Some(session.address));
                self.insert_connection(media, |at, edits| edits.insert(at, ours));
            }
            _ => {}
        }
    }

    /// Inserts a `c=` line where it belongs in a media section; `value` inserts
    /// what it says.
    fn insert_connection(&mut self, media: &MediaDescription, value: impl FnOnce(usize, &mut Edits)) {
        let before = media.end_before_connection;
        let at = before.end;
        // Behind a last line without a line end, ours has none either.
        let line_end = self.description.line_end();
        let (front, back) = if before.is_empty() { (line_end, "") } else { ("", line_end) };
        self.edits.insert(at, (front, "c="));
        value(at, self.edits);
        self.edits.insert(at, back);
    }

    /// An `o=` line. A name in it stays.
    fn origin(&mut self, line: &Line) {
        let session = self.description.session().connection.as_ref();
        let Some(origin) = Origin::read(self.description.message(), line.value, session) else { return };
        match origin.address {
            Some(Address::Name) => self.edits.replace(origin.addrtype.range(), self.outgoing.sdp_name()),
            Some(address) if is_of(address, self.outgoing) => {}
            address => {
                let ours = self.in_place_of(address);
                self.edits.replace(origin.span.range(), ours.strip_prefix(b"IN ").unwrap_or(ours));
            }
        }
    }

    /// An attribute of a media section.
    fn stream_attribute(&mut self, attribute: &Attribute, fate: Fate, media: &MediaDescription) {
        match (disposition(self.description.message(), attribute), fate) {
            (Disposition::Ice, Fate::Kept) if self.plan.ends_ice => self.cut(attribute),
            (_, Fate::Kept) => {}
            (Disposition::Rtcp, Fate::Relayed(port)) => self.rtcp(attribute, port, media),
            _ => self.attribute(attribute),
        }
    }

    /// An attribute of the session section, or of a stream that is not kept.
    fn attribute(&mut self, attribute: &Attribute) {
        let message = self.description.message();
        match disposition(message, attribute) {
            Disposition::Stay => {}
            Disposition::Ice | Disposition::Cut => self.cut(attribute),
            // Nothing is sent to the port of a refused stream; an address goes.
            Disposition::Rtcp => match self.read_rtcp(attribute) {
                Some(Rtcp { address: None, .. }) => {}
                _ => self.cut(attribute),
            },
            Disposition::Options => cut_option(message, attribute, self.edits),
            Disposition::Configuration => cut_connection_capability(message, attribute, self.edits),
        }
    }

    /// `a=rtcp` of a relayed stream: RTCP is next to RTP, or on the same port
    /// where it was and may be (RFC 5761). A placeholder stays one. Without the
    /// line, RTCP is next to RTP too, so one that cannot be read goes.
    fn rtcp(&mut self, attribute: &Attribute, port: u16, media: &MediaDescription) {
        let Some(rtcp) = self.read_rtcp(attribute) else { return self.cut(attribute) };
        let shares = media.section.is_rtcp_mux && media.line.port == rtcp.port;
        let is_nowhere = rtcp.address.is_some_and(Address::is_unspecified);
        let port = match (is_nowhere, shares) {
            (true, _) => rtcp.port,
            (false, true) => port,
            (false, false) => port.saturating_add(1),
        };
        match rtcp.address {
            None => self.edits.replace(attribute.value.range(), port),
            address => {
                let ours = self.in_place_of(address);
                self.edits.replace(attribute.value.range(), (port, " ", ours));
            }
        }
    }

    fn read_rtcp(&self, attribute: &Attribute) -> Option<Rtcp> {
        Rtcp::read(self.description.message(), attribute.value)
    }

    fn cut(&mut self, attribute: &Attribute) {
        self.edits.remove(attribute.line.whole().range());
    }

    /// Our address, or "nowhere" in the place of "nowhere", as a `c=` line says it.
    fn in_place_of(&self, address: Option<Address>) -> &'a [u8] {
        if address.is_some_and(Address::is_unspecified) { nowhere(self.outgoing) } else { self.ours }
    }
}

#[cfg(test)]
mod tests;
