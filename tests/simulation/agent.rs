//! A user agent: its transactions, and what it owns. How it calls is in [`crate::caller`],
//! how it is called in [`crate::callee`], what it offers in [`crate::offers`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::callee::Plan;
use crate::caller::Attempt;
use crate::checks;
use crate::description::Style;
use crate::dialog::{Dialog, State};
use crate::message::Message;
use crate::network::Packet;
use crate::random::Random;
use crate::transaction::{Client, Due, Server, branch};
use crate::uri::next_hop;

/// What one of its media ports is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) call_id: String,
    pub(crate) line: usize,
}

/// What differs from one user agent to the next.
#[derive(Clone, Debug)]
pub(crate) struct Character {
    pub(crate) name: &'static str,
    /// Where its SIP is, as it sees that itself.
    pub(crate) sip: SocketAddr,
    /// Where requests outside of dialogs go; `None`: to their Request-URI.
    pub(crate) outbound: Option<SocketAddr>,
    /// The URI in its From.
    pub(crate) address: String,
    /// The URI in its Contact.
    pub(crate) contact: String,
    pub(crate) style: Style,
    /// It knows RFC 3262 and RFC 3311.
    pub(crate) modern: bool,
}

pub(crate) struct Agent {
    pub(crate) is: Character,
    pub(crate) dialogs: Vec<Dialog>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) plans: Vec<Plan>,
    pub(crate) clients: Vec<Client>,
    pub(crate) servers: Vec<Server>,
    pub(crate) ports: BTreeMap<u16, Port>,
    pub(crate) random: Random,
    /// What it wants to send.
    pub(crate) out: Vec<Packet>,
    /// What it saw that must not be.
    pub(crate) complaints: Vec<String>,
    /// Whom it was asked to call.
    pub(crate) referred: Vec<String>,
    next_port: u16,
    words: u32,
}

impl Agent {
    pub(crate) fn new(is: Character, seed: u64) -> Self {
        Self {
            is,
            dialogs: Vec::new(),
            attempts: Vec::new(),
            plans: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            ports: BTreeMap::new(),
            random: Random::new(seed),
            out: Vec::new(),
            complaints: Vec::new(),
            referred: Vec::new(),
            next_port: 30_000,
            words: 0,
        }
    }

    /// A word nobody has used yet.
    pub(crate) fn word(&mut self, prefix: &str) -> String {
        self.words += 1;
        format!("{prefix}{}{}", self.is.name, self.words)
    }

    pub(crate) fn complain(&mut self, what: impl Into<String>, message: &Message) {
        self.complaints.push(format!("{}: {}\n{message}", self.is.name, what.into()));
    }

    /// A media port, and the one above it, for a line of a call.
    pub(crate) fn open_port(&mut self, call_id: &str, line: usize, rtcp: u16) -> u16 {
        let port = self.next_port;
        self.next_port += 6;
        for port in [port, port + rtcp] {
            self.ports.insert(port, Port { call_id: call_id.to_owned(), line });
        }
        port
    }

    /// The port that a line of a call had first.
    pub(crate) fn port_of(&self, call_id: &str, line: usize) -> Option<u16> {
        let of_it = |port: &Port| port.call_id == call_id && port.line == line;
        self.ports.iter().find(|(_, port)| of_it(port)).map(|(port, _)| *port)
    }

    pub(crate) fn put(&mut self, to: SocketAddr, message: &Message) {
        if to.is_ipv4() != self.is.sip.is_ipv4() {
            self.complain(format!("has to send to {to}"), message);
            return;
        }
        self.out.push(Packet { from: self.is.sip, to, bytes: message.to_wire() });
    }

    pub(crate) fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/UDP {};branch={branch};rport", self.is.sip)
    }

    /// Sends a request without a Via, in a transaction of its own.
    pub(crate) fn start(&mut self, now: Duration, mut request: Message, to: SocketAddr) {
        let branch = self.word("z9hG4bK");
        request.fields.insert(0, ("Via".to_owned(), self.via(&branch)));
        self.put(to, &request);
        self.clients.push(Client::new(now, branch, request, to));
    }

    /// The same within a dialog.
    pub(crate) fn start_within(&mut self, now: Duration, dialog: usize, request: Message) {
        let hop = self.dialogs[dialog].next_hop().to_owned();
        self.start(now, request, next_hop(&hop));
    }

    pub(crate) fn receive(&mut self, now: Duration, packet: &Packet) {
        let message = match Message::parse(&packet.bytes) {
            Ok(message) => message,
            Err(why) => {
                self.complaints.push(format!("{}: {why} in {}", self.is.name, String::from_utf8_lossy(&packet.bytes)));
                return;
            }
        };
        for foreign in checks::foreign_addresses(&message, self.is.sip.is_ipv4()) {
            self.complain(format!("sees {foreign}, an address of the other family"), &message);
        }
        match message.status() {
            Some(status) => self.response(now, &message, status),
            None => self.request(now, packet.from, &message),
        }
    }

    fn response(&mut self, now: Duration, message: &Message, status: u16) {
        let (_, method) = message.cseq();
        let of = |client: &Client| client.branch == branch(message) && client.request.method() == Some(method);
        let Some(index) = self.clients.iter().position(of) else {
            return self.complain("gets a response to nothing that it asked", message);
        };
        let sent = self.clients[index].request.clone();
        if let Some(why) = checks::differs(&sent, message) {
            self.complain(why, message);
        }
        let first = self.clients[index].progress(status);
        if sent.method() == Some("INVITE") {
            self.invite_response(now, index, message, status, first);
        } else if first {
            self.other_response(now, &sent, message, status);
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let clients = self.clients.iter().filter_map(|client| client.resend);
        let servers = self.servers.iter().filter_map(|server| server.resend);
        let plans = self.plans.iter().filter_map(Plan::deadline);
        clients.chain(servers).map(|resend| resend.next).chain(plans).min()
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        for index in 0..self.clients.len() {
            match self.clients[index].due(now) {
                Some(Due::Again) => {
                    let (to, request) = (self.clients[index].to, self.clients[index].request.clone());
                    self.put(to, &request);
                }
                Some(Due::GiveUp) => self.no_answer(index),
                None => {}
            }
        }
        for index in 0..self.servers.len() {
            match self.servers[index].due(now) {
                Some(Due::Again) => self.repeat(index),
                Some(Due::GiveUp) => self.not_acknowledged(now, index),
                None => {}
            }
        }
        for index in 0..self.plans.len() {
            self.follow_plan(now, index);
        }
    }

    /// What a request without an answer means (§8.1.3.1, §12.2.1.2).
    fn no_answer(&mut self, index: usize) {
        self.clients[index].status = 408;
        let request = self.clients[index].request.clone();
        for dialog in self.dialogs.iter_mut().filter(|dialog| dialog.is_of_own(&request)) {
            if request.method() != Some("CANCEL") {
                dialog.state = State::Over;
                dialog.offer = None;
            }
        }
    }

    pub(crate) fn repeat(&mut self, server: usize) {
        let Server { from, last, .. } = self.servers[server].clone();
        if let Some(last) = last {
            self.put(from, &last);
        }
    }

    /// Whether nothing at all is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.deadline().is_none() && self.clients.iter().all(|client| !client.is_pending())
    }
}
