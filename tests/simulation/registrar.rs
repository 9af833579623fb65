//! The uplink: a proxy with a location service (RFC 3261 §10, §16). It is stateless
//! but where it forks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::caller::hop_by_hop;
use crate::checks::user;
use crate::dialog::{is_loose, tag};
use crate::message::Message;
use crate::network::Packet;
use crate::transaction::{Cancel, Client, Due, Resend, Server, branch};
use crate::uri::{address_of, hostport_of, next_hop, parameter, uri_of};

pub(crate) const DOMAIN: &str = "provider.example";

/// An INVITE that went to several at once.
struct Fork {
    server: Server,
    branches: Vec<Client>,
    /// The refusals, each as it came.
    refusals: Vec<Message>,
    answered: bool,
}

pub(crate) struct Registrar {
    pub(crate) address: SocketAddr,
    /// It record-routes itself as RFC 2543 did, and routes so.
    pub(crate) is_strict: bool,
    /// It asks for a password.
    pub(crate) asks: bool,
    pub(crate) out: Vec<Packet>,
    pub(crate) complaints: Vec<String>,
    locations: BTreeMap<String, Vec<String>>,
    forks: Vec<Fork>,
}

impl Registrar {
    pub(crate) fn new(address: SocketAddr, is_strict: bool, asks: bool) -> Self {
        let (out, complaints, forks, locations) = Default::default();
        Self { address, is_strict, asks, out, complaints, locations, forks }
    }

    /// A user who is many.
    pub(crate) fn locate(&mut self, user: &str, contacts: Vec<String>) {
        self.locations.insert(user.to_owned(), contacts);
    }

    pub(crate) fn location(&self, user: &str) -> Vec<String> {
        self.locations.get(user).cloned().unwrap_or_default()
    }

    fn put(&mut self, to: SocketAddr, message: &Message) {
        if to.is_ipv4() != self.address.is_ipv4() {
            self.complaints.push(format!("the uplink has to send to {to}:\n{message}"));
            return;
        }
        self.out.push(Packet { from: self.address, to, bytes: message.to_wire() });
    }

    pub(crate) fn receive(&mut self, now: Duration, packet: &Packet) {
        match Message::parse(&packet.bytes) {
            Err(why) => {
                self.complaints.push(format!("the uplink: {why} in {}", String::from_utf8_lossy(&packet.bytes)))
            }
            Ok(message) if message.status().is_some() => self.response(now, message),
            Ok(message) => self.request(now, packet.from, message),
        }
    }

    fn request(&mut self, now: Duration, from: SocketAddr, mut message: Message) {
        let via = message.fields.iter_mut().find(|(name, _)| name == "Via").expect("a Via");
        via.1 = format!("{};received={};rport={}", via.1.replace(";rport", ""), from.ip(), from.port());
        let method = message.method().unwrap_or_default().to_owned();
        if self.concerns_fork(now, &message) {
            return;
        }
        if method == "REGISTER" {
            return self.register(&message);
        }
        let is_initial = tag(message.value("To")).is_none();
        if self.asks && method == "INVITE" && message.find("Proxy-Authorization").is_none() {
            return self.answer(&message, 407);
        }
        if method == "ACK" && tag(message.value("To")).is_some_and(|tag| tag.starts_with("uplink")) {
            return;
        }
        self.take_off_route(&mut message);
        let targets = self.targets(&message);
        if targets.is_empty() {
            self.answer(&message, 404);
        } else if targets.len() > 1 && method == "INVITE" && is_initial {
            self.fork(now, from, message, &targets);
        } else {
            let (request, to) = self.forwarded(&message, &targets[0], 0);
            self.put(to, &request);
        }
    }

    fn register(&mut self, message: &Message) {
        let user = user(uri_of(message.value("To"))).to_owned();
        self.locations.insert(user, vec![uri_of(message.value("Contact")).to_owned()]);
        self.answer(message, 200);
    }

    fn own_uri(&self) -> String {
        let lr = if self.is_strict { "" } else { ";lr" };
        format!("sip:{}{lr}", self.address)
    }

    /// By RFC 2543 the topmost Route is where the request goes next; by RFC 3261 it is
    /// ourselves.
    fn take_off_route(&self, message: &mut Message) {
        let Some(at) = message.fields.iter().position(|(name, _)| name == "Route") else { return };
        let is_own = |uri: &str| uri.starts_with(&format!("sip:{}", self.address));
        if is_own(message.request_uri()) && self.is_strict {
            let (_, route) = message.fields.remove(at);
            message.start = format!("{} {} SIP/2.0", message.method().unwrap_or_default(), uri_of(&route));
        } else if is_own(uri_of(&message.fields[at].1)) {
            message.fields.remove(at);
        }
    }

    fn targets(&self, message: &Message) -> Vec<String> {
        let uri = message.request_uri();
        let hostport = hostport_of(uri);
        let is_own = hostport == DOMAIN
            || hostport.parse() == Ok(self.address)
            || hostport == format!("[{}]", self.address.ip());
        if is_own && message.find("Route").is_none() { self.location(user(uri)) } else { vec![uri.to_owned()] }
    }

    /// The request as it goes on, and where.
    fn forwarded(&self, message: &Message, target: &str, index: usize) -> (Message, SocketAddr) {
        let mut request = message.clone();
        let method = message.method().unwrap_or_default().to_owned();
        request.start = format!("{method} {target} SIP/2.0");
        let own = format!("{}-u{index}", branch(message));
        if method == "INVITE" {
            request.fields.insert(0, ("Record-Route".to_owned(), format!("<{}>", self.own_uri())));
        }
        request.fields.insert(0, ("Via".to_owned(), format!("SIP/2.0/UDP {};branch={own}", self.address)));
        let hop = match request.find("Route").map(str::to_owned) {
            Some(route) if is_loose(&route) && !self.is_strict => uri_of(&route).to_owned(),
            _ => target.to_owned(),
        };
        (request, next_hop(&hop))
    }

    /// An answer of its own.
    fn answer(&mut self, request: &Message, status: u16) {
        let kept = |name: &str| matches!(name, "Via" | "From" | "Call-ID" | "CSeq" | "Contact");
        let mut response = Message { start: format!("SIP/2.0 {status} x"), fields: Vec::new(), body: String::new() };
        response.fields = request.fields.iter().filter(|(name, _)| kept(name)).cloned().collect();
        let to = request.value("To");
        let to = if status == 100 || tag(to).is_some() { to.to_owned() } else { format!("{to};tag=uplink{status}") };
        self.upstream(&response.with("To", to).without_body());
    }

    /// Sends a response by its topmost Via, which is not ours.
    fn upstream(&mut self, response: &Message) {
        let via = response.list("Via").first().cloned().expect("a Via");
        let sent_by = address_of(via.split([' ', ';']).nth(1).unwrap_or_default());
        let ip = parameter(&via, "received").and_then(|ip| ip.parse().ok()).unwrap_or(sent_by.ip());
        let port = parameter(&via, "rport").and_then(|port| port.parse().ok()).unwrap_or(sent_by.port());
        self.put(SocketAddr::new(ip, port), response);
    }

    fn response(&mut self, now: Duration, mut message: Message) {
        let own = branch(&message).to_owned();
        let at = message.fields.iter().position(|(name, _)| name == "Via").expect("a Via");
        message.fields.remove(at);
        let fork = self.forks.iter().position(|fork| fork.branches.iter().any(|client| client.branch == own));
        match fork {
            Some(fork) => self.fork_response(now, fork, &own, message),
            None => self.upstream(&message),
        }
    }

    fn fork(&mut self, now: Duration, from: SocketAddr, message: Message, targets: &[String]) {
        self.answer(&message, 100);
        let mut branches = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let (request, to) = self.forwarded(&message, target, index);
            self.put(to, &request);
            branches.push(Client::new(now, branch(&request).to_owned(), request, to));
        }
        let server = Server { branch: branch(&message).to_owned(), request: message, from, last: None, resend: None };
        self.forks.push(Fork { server, branches, refusals: Vec::new(), answered: false });
    }

    /// Whether a request is of an INVITE that was forked, and dealt with.
    fn concerns_fork(&mut self, now: Duration, message: &Message) -> bool {
        let Some(fork) = self.forks.iter_mut().find(|fork| fork.server.branch == branch(message)) else { return false };
        match message.method() {
            Some("ACK") => fork.server.resend = None,
            Some("CANCEL") => {
                self.answer(message, 200);
                self.cancel_rest(now, message.value("Via"));
            }
            _ => match fork.server.last.clone() {
                Some(last) => self.upstream(&last),
                None => self.answer(message, 100),
            },
        }
        true
    }

    /// Cancels what is pending of the fork with this Via.
    fn cancel_rest(&mut self, now: Duration, via: &str) {
        let wanted = parameter(via, "branch").unwrap_or_default();
        let Some(fork) = self.forks.iter_mut().find(|fork| fork.server.branch == wanted) else { return };
        let mut cancels = Vec::new();
        for client in fork.branches.iter_mut().filter(|client| client.is_invite() && client.is_pending()) {
            if client.status >= 100 && client.cancel != Some(Cancel::Sent) {
                client.cancel = Some(Cancel::Sent);
                let request = hop_by_hop("CANCEL", &client.request);
                cancels.push(Client::new(now, client.branch.clone(), request, client.to));
            } else {
                client.cancel.get_or_insert(Cancel::Wanted);
            }
        }
        fork.branches.extend(cancels.iter().cloned());
        for client in cancels {
            self.put(client.to, &client.request);
        }
    }

    fn fork_response(&mut self, now: Duration, index: usize, own: &str, message: Message) {
        let fork = &mut self.forks[index];
        let (status, (_, method)) = (message.status().unwrap_or_default(), message.cseq());
        let of = |client: &&mut Client| client.branch == own && client.request.method() == Some(method);
        let Some(client) = fork.branches.iter_mut().find(of) else { return };
        let first = client.progress(status);
        if method == "CANCEL" {
            return;
        }
        let (to, wanted) = (client.to, client.cancel == Some(Cancel::Wanted));
        let ack = hop_by_hop("ACK", &client.request).replacing("To", message.value("To"));
        let via = fork.server.request.value("Via").to_owned();
        match status {
            100 => {}
            101..=199 if fork.answered || fork.server.last.is_some() => {}
            101..=199 => self.upstream(&message),
            200..=299 => {
                fork.answered = true;
                self.upstream(&message);
                self.cancel_rest(now, &via);
            }
            _ => {
                self.put(to, &ack);
                let fork = &mut self.forks[index];
                if first {
                    fork.refusals.push(message);
                }
                self.refuse_if_all_do(now, index);
            }
        }
        if wanted {
            self.cancel_rest(now, &via);
        }
    }

    /// Once every branch has refused: the best of it goes back (§16.7).
    fn refuse_if_all_do(&mut self, now: Duration, index: usize) {
        let fork = &mut self.forks[index];
        let pending = fork.branches.iter().any(|client| client.is_invite() && client.is_pending());
        if pending || fork.answered || fork.server.last.is_some() {
            return;
        }
        let Some(best) = fork.refusals.iter().min_by_key(|refusal| refusal.status()).cloned() else { return };
        fork.server.last = Some(best.clone());
        fork.server.resend = Some(Resend::new(now, true));
        self.upstream(&best);
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        let clients = self.forks.iter().flat_map(|fork| &fork.branches).filter_map(|client| client.resend);
        clients.chain(self.forks.iter().filter_map(|fork| fork.server.resend)).map(|resend| resend.next).min()
    }

    pub(crate) fn tick(&mut self, now: Duration) {
        for index in 0..self.forks.len() {
            for client in 0..self.forks[index].branches.len() {
                let fork = &mut self.forks[index];
                match fork.branches[client].due(now) {
                    Some(Due::Again) => {
                        let Client { to, request, .. } = fork.branches[client].clone();
                        self.put(to, &request);
                    }
                    Some(Due::GiveUp) => fork.branches[client].status = 408,
                    None => {}
                }
            }
            let fork = &mut self.forks[index];
            if fork.server.due(now) == Some(Due::Again)
                && let Some(last) = fork.server.last.clone()
            {
                self.upstream(&last);
            }
        }
    }
}
