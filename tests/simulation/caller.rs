//! How a user agent calls (RFC 3261 §13.2, §9.1; RFC 3262).

use std::time::Duration;

use crate::agent::Agent;
use crate::description::{Line, read};
use crate::dialog::{Dialog, State, tag};
use crate::message::Message;
use crate::transaction::{Cancel, Client};
use crate::uri::{next_hop, uri_of};

/// A call that it began.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) call_id: String,
    pub(crate) from: String,
    lines: Vec<Line>,
    is_late: bool,
    /// It does not want it any more.
    pub(crate) given_up: bool,
    /// The To of the dialog that was answered first.
    answered: Option<String>,
    authorised: bool,
}

impl Agent {
    /// Calls a URI, perhaps without an offer.
    pub(crate) fn call(&mut self, now: Duration, uri: &str, is_late: bool) {
        let call_id = self.word("call-");
        let tag = self.word("t");
        let from = format!("\"{}\" <{}>;tag={tag}", self.is.name, self.is.address);
        let lines = if is_late { Vec::new() } else { self.first_lines(&call_id) };
        let attempt = Attempt { call_id, from, lines, is_late, given_up: false, answered: None, authorised: false };
        self.invite(now, &attempt, uri, 1);
        self.attempts.push(attempt);
    }

    fn invite(&mut self, now: Duration, attempt: &Attempt, uri: &str, cseq: u32) {
        let mut request = Message::request("INVITE", uri)
            .with("Max-Forwards", "70")
            .with("From", &attempt.from)
            .with("To", format!("<{uri}>"))
            .with("Call-ID", &attempt.call_id)
            .with("CSeq", format!("{cseq} INVITE"))
            .with("Contact", format!("<{}>", self.is.contact));
        if self.is.modern {
            request = request.with("Supported", "100rel");
        }
        if attempt.authorised {
            request = request.with("Proxy-Authorization", "Digest x");
        }
        let request = self.with_lines(request, 1, &attempt.lines);
        self.start(now, request, self.is.outbound.unwrap_or_else(|| next_hop(uri)));
    }

    /// Sends a CANCEL, or remembers that it is to (§9.1).
    pub(crate) fn cancel(&mut self, now: Duration, attempt: usize) {
        self.attempts[attempt].given_up = true;
        let Attempt { call_id, from, .. } = self.attempts[attempt].clone();
        let of = |client: &Client| {
            client.is_invite() && client.request.value("Call-ID") == call_id && client.request.value("From") == from
        };
        if let Some(index) =
            self.clients.iter().rposition(|client| of(client) && tag(client.request.value("To")).is_none())
        {
            self.clients[index].cancel.get_or_insert(Cancel::Wanted);
            self.cancel_if_it_rings(now, index);
        }
    }

    fn cancel_if_it_rings(&mut self, now: Duration, index: usize) {
        let client = &mut self.clients[index];
        if client.cancel != Some(Cancel::Wanted) || !(100..200).contains(&client.status) {
            return;
        }
        client.cancel = Some(Cancel::Sent);
        let (request, to) = (hop_by_hop("CANCEL", &client.request), client.to);
        self.put(to, &request);
        let branch = self.clients[index].branch.clone();
        self.clients.push(Client::new(now, branch, request, to));
    }

    /// A response to an INVITE, `first` if it is the first final one.
    pub(crate) fn invite_response(&mut self, now: Duration, index: usize, message: &Message, status: u16, first: bool) {
        let request = self.clients[index].request.clone();
        if status >= 300 {
            let mut ack = hop_by_hop("ACK", &request);
            ack = ack.replacing("To", message.value("To"));
            let to = self.clients[index].to;
            self.put(to, &ack);
        }
        if tag(request.value("To")).is_some() {
            return self.reinvite_response(now, &request, message, status, first);
        }
        self.cancel_if_it_rings(now, index);
        let of =
            |attempt: &Attempt| attempt.call_id == request.value("Call-ID") && attempt.from == request.value("From");
        let attempt = self.attempts.iter().position(of).expect("an attempt");
        match status {
            101..=199 if tag(message.value("To")).is_some() => self.rings(now, attempt, &request, message),
            200..=299 => self.is_answered(now, attempt, &request, message),
            300.. if first => self.has_failed(now, attempt, &request, status),
            _ => {}
        }
    }

    fn dialog_of(&mut self, request: &Message, response: &Message) -> usize {
        let known = self.dialogs.iter().position(|dialog| dialog.is_of_own(response));
        known.unwrap_or_else(|| {
            self.dialogs.push(Dialog::of_caller(request, response));
            self.dialogs.len() - 1
        })
    }

    fn rings(&mut self, now: Duration, attempt: usize, request: &Message, message: &Message) {
        let index = self.dialog_of(request, message);
        let attempt = self.attempts[attempt].clone();
        if self.dialogs[index].state != State::Early {
            return;
        }
        let reliable = message.find("RSeq").and_then(|number| number.parse::<u32>().ok());
        let is_new = reliable.is_some_and(|number| !self.dialogs[index].reliable.contains(&number));
        let mut answer = None;
        if !message.body.is_empty() && self.dialogs[index].told.is_empty() {
            let told = read(&message.body);
            if !attempt.is_late {
                self.dialogs[index].agree(attempt.lines, told);
            } else if is_new {
                let lines = self.answer_lines(index, &told);
                self.dialogs[index].agree(lines.clone(), told);
                answer = Some(lines);
            }
        }
        let Some(number) = reliable.filter(|_| is_new) else { return };
        self.dialogs[index].reliable.push(number);
        let contact = self.is.contact.clone();
        let prack = self.dialogs[index].request("PRACK", &contact);
        let prack = prack.with("RAck", format!("{number} {} INVITE", request.cseq().0));
        let is_forked = request.value("To").contains("sip:hunt@");
        let offers = answer.is_none() && !is_forked && self.random.percent(20);
        let prack = match answer {
            Some(lines) => self.with_lines(prack, self.dialogs[index].version, &lines),
            None if offers => self.with_offer(index, prack),
            None => prack.without_body(),
        };
        self.start_within(now, index, prack);
    }

    fn is_answered(&mut self, now: Duration, attempt: usize, request: &Message, message: &Message) {
        let index = self.dialog_of(request, message);
        if let Some(ack) = self.dialogs[index].acks.first().cloned() {
            return self.send_ack(index, &ack);
        }
        let to = message.value("To").to_owned();
        let chosen = self.attempts[attempt].answered.get_or_insert(to.clone()) == &to;
        let Attempt { lines, is_late, given_up, .. } = self.attempts[attempt].clone();
        // The route set of the 2xx is the one that counts (§13.2.2.4).
        let Dialog { target, routes, .. } = Dialog::of_caller(request, message);
        let dialog = &mut self.dialogs[index];
        (dialog.target, dialog.routes) = (target, routes);
        (dialog.state, dialog.acknowledged) = (State::Confirmed, true);
        let mut ack = dialog.numbered("ACK", &self.is.contact, request.cseq().0).without_body();
        if !message.body.is_empty() && dialog.told.is_empty() {
            let told = read(&message.body);
            let lines = if is_late { self.answer_lines(index, &told) } else { lines };
            if is_late {
                ack.fields.pop();
                ack = self.with_lines(ack, self.dialogs[index].version, &lines);
            }
            self.dialogs[index].agree(lines, told);
        }
        self.acknowledge(now, index, ack);
        if given_up || !chosen {
            return self.hang_up(now, index);
        }
        let (call_id, local) = (self.dialogs[index].call_id.clone(), self.dialogs[index].local.clone());
        for dialog in self.dialogs.iter_mut().filter(|dialog| dialog.call_id == call_id && dialog.local == local) {
            if dialog.state == State::Early {
                dialog.state = State::Over;
            }
        }
    }

    fn has_failed(&mut self, now: Duration, attempt: usize, request: &Message, status: u16) {
        let of_it = self.attempts[attempt].clone();
        for dialog in &mut self.dialogs {
            if dialog.call_id == of_it.call_id && dialog.local == of_it.from && dialog.state == State::Early {
                dialog.state = State::Over;
            }
        }
        if status == 407 && !of_it.authorised && !of_it.given_up {
            self.attempts[attempt].authorised = true;
            let again = self.attempts[attempt].clone();
            let uri = uri_of(request.value("To")).to_owned();
            self.invite(now, &again, &uri, request.cseq().0 + 1);
        } else if status == 403 || status == 404 || status == 503 {
            self.complain(format!("is refused with {status}"), request);
        }
    }

    /// Sends the ACK of a 2xx, and keeps it.
    pub(crate) fn acknowledge(&mut self, now: Duration, index: usize, mut ack: Message) {
        self.dialogs[index].rests_until = now + Duration::from_secs(8);
        let branch = self.word("z9hG4bK");
        ack.fields.insert(0, ("Via".to_owned(), self.via(&branch)));
        self.send_ack(index, &ack);
        self.dialogs[index].acks.push(ack);
    }

    pub(crate) fn send_ack(&mut self, index: usize, ack: &Message) {
        let to = next_hop(self.dialogs[index].next_hop());
        self.put(to, ack);
    }
}

/// The CANCEL of a request, or the ACK of its refusal (§9.1, §17.1.1.3).
pub(crate) fn hop_by_hop(method: &str, request: &Message) -> Message {
    let mut fields = vec![("Via".to_owned(), request.value("Via").to_owned())];
    for (name, value) in &request.fields {
        match &name[..] {
            "Route" | "Max-Forwards" | "From" | "To" | "Call-ID" => fields.push((name.clone(), value.clone())),
            "CSeq" => fields.push((name.clone(), format!("{} {method}", request.cseq().0))),
            _ => {}
        }
    }
    let start = format!("{method} {} SIP/2.0", request.request_uri());
    Message { start, fields, body: String::new() }.without_body()
}
