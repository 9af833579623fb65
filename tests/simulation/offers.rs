//! What a user agent offers, and what it asks within a dialog (RFC 3264, RFC 3261 §14, RFC 3311).

use std::time::Duration;

use crate::agent::Agent;
use crate::checks::user;
use crate::description::{Direction, Line, Told, read};
use crate::dialog::{Dialog, Offer, State};
use crate::message::Message;
use crate::uri::uri_of;

impl Agent {
    fn new_line(&mut self, call_id: &str, index: usize, kind: &'static str, mux: bool) -> Line {
        let style = self.is.style;
        let is_rtp = kind != "image";
        let named = style.names_rtcp && style.moves && !mux && is_rtp;
        let before = self.port_of(call_id, index).filter(|_| !style.moves);
        let port = before.unwrap_or_else(|| self.open_port(call_id, index, if named { 3 } else { 1 }));
        let rtcp = named.then_some(port + 3);
        Line { kind, port, direction: Direction::Both, mux: mux && is_rtp, rtcp, codecs: 0 }
    }

    /// The lines of a first offer.
    pub(crate) fn first_lines(&mut self, call_id: &str) -> Vec<Line> {
        let mux = self.is.style.mux;
        let mut lines = vec![self.new_line(call_id, 0, "audio", mux)];
        if self.random.percent(25) {
            lines.push(self.new_line(call_id, 1, "video", mux));
        }
        lines
    }

    /// What it answers to an offer.
    pub(crate) fn answer_lines(&mut self, dialog: usize, offer: &[Told]) -> Vec<Line> {
        let Dialog { call_id, lines, .. } = self.dialogs[dialog].clone();
        let answers = offer.iter().enumerate().map(|(index, told)| {
            let mux = told.mux && self.is.style.mux;
            let before = lines.get(index).filter(|line| line.port != 0 && line.kind == told.kind && line.mux == mux);
            let line = match before {
                _ if !told.is_open() => None,
                Some(line) if !self.is.style.moves || !self.random.percent(10) => Some(*line),
                None if index > 0 && self.random.percent(30) => None,
                _ => Some(self.new_line(&call_id, index, told.kind, mux)),
            };
            let holds = before.is_some_and(|line| !line.direction.receives() && line.direction.sends());
            match line {
                Some(line) => Line { direction: told.direction.answer(holds), ..line },
                None => {
                    Line { kind: told.kind, port: 0, direction: Direction::Both, mux: false, rtcp: None, codecs: 0 }
                }
            }
        });
        answers.collect()
    }

    /// A message with the description of these lines, or with none.
    pub(crate) fn with_lines(&self, message: Message, version: u32, lines: &[Line]) -> Message {
        if lines.is_empty() {
            return message.without_body();
        }
        message.with_sdp(self.is.style.write(self.is.name, version, lines))
    }

    /// Answers the offer of a request within a dialog, at once.
    pub(crate) fn answer(&mut self, dialog: usize, offer: &str) -> String {
        let told = read(offer);
        let lines = self.answer_lines(dialog, &told);
        let of = &mut self.dialogs[dialog];
        of.version += 1;
        of.agree(lines.clone(), told);
        self.is.style.write(self.is.name, of.version, &lines)
    }

    /// The lines of the next offer: something is different.
    fn changed(&mut self, dialog: usize) -> Vec<Line> {
        let Dialog { call_id, mut lines, .. } = self.dialogs[dialog].clone();
        let index = self.random.below(lines.len().max(1));
        let next = lines.len();
        match self.random.below(8) {
            0 => lines.iter_mut().for_each(|line| line.direction = Direction::Send),
            1 => lines.iter_mut().for_each(|line| line.direction = Direction::Neither),
            2 | 3 => lines.iter_mut().for_each(|line| line.direction = Direction::Both),
            4 => lines.iter_mut().for_each(|line| line.codecs += 1),
            5 if next < 4 => {
                let kind = self.random.pick(&["video", "image", "audio"]);
                let mux = self.is.style.mux;
                lines.push(self.new_line(&call_id, next, kind, mux));
            }
            6 if index > 0 && lines[index].port != 0 => lines[index].port = 0,
            _ if next > 0 && self.is.style.moves => {
                let Line { kind, mux, direction, .. } = lines[index];
                lines[index] = Line { direction, ..self.new_line(&call_id, index, kind, mux) };
            }
            _ => {}
        }
        lines
    }

    /// A request with an offer, which waits for its answer.
    pub(crate) fn with_offer(&mut self, dialog: usize, request: Message) -> Message {
        let lines = self.changed(dialog);
        let of = &mut self.dialogs[dialog];
        of.version += 1;
        of.offer = Some(Offer { lines: lines.clone(), cseq: request.cseq().0 });
        let version = of.version;
        self.with_lines(request, version, &lines)
    }

    /// Whether it may offer something in a dialog now (RFC 3264 §4, RFC 3261 §14.1).
    fn may_offer(&self, now: Duration, index: usize) -> bool {
        let dialog = &self.dialogs[index];
        dialog.offer.is_none()
            && dialog.rests_until <= now
            && !dialog.lines.is_empty()
            && self.clients.iter().all(|client| {
                !client.is_pending() || !dialog.is_of_own(&client.request) || client.request.method() == Some("BYE")
            })
    }

    /// Does something in a dialog, if there is something to do. `others` are those whom it
    /// could send the other party to.
    pub(crate) fn act(&mut self, now: Duration, index: usize, others: &[String]) {
        let Dialog { state, acknowledged, .. } = self.dialogs[index].clone();
        let is_live = state == State::Confirmed && acknowledged;
        let is_early = state == State::Early && self.is_agreed_early(index);
        let offers = self.may_offer(now, index);
        match self.random.below(20) {
            0 | 1 if is_live => self.hang_up(now, index),
            2 if is_live => self.refer(now, index, others),
            3 if is_live => {
                let method = self.random.pick(&["OPTIONS", "MESSAGE", "INFO"]);
                let request = self.dialogs[index].request(method, &self.is.contact).without_body();
                self.start_within(now, index, request);
            }
            4..=6 if self.is.modern && offers && (is_live || is_early) => {
                let request = self.dialogs[index].request("UPDATE", &self.is.contact);
                let request = self.with_offer(index, request);
                self.start_within(now, index, request);
            }
            7..=16 if is_live && offers => {
                let request = self.dialogs[index].request("INVITE", &self.is.contact);
                let is_late = self.random.percent(20);
                let request = if is_late { request.without_body() } else { self.with_offer(index, request) };
                self.start_within(now, index, request);
            }
            _ => {}
        }
    }

    /// Whether an UPDATE may come before the answer: the first offer has a reliable
    /// answer (RFC 3311 §5.1). Not in a forked call: what a caller says of his media in
    /// one of several early dialogs is not kept apart from the others.
    fn is_agreed_early(&self, index: usize) -> bool {
        let Dialog { local, remote, reliable, acknowledged_reliable, .. } = &self.dialogs[index];
        let is_forked = [local, remote].into_iter().any(|party| party.contains("sip:hunt@"));
        !is_forked && (!reliable.is_empty() || *acknowledged_reliable)
    }

    /// Sends the other party to a third one (RFC 3515), not to himself. A stranger would
    /// send him where nothing proves that he may go.
    fn refer(&mut self, now: Duration, index: usize, others: &[String]) {
        let mut others = others.to_vec();
        others.retain(|other| user(other) != user(&self.dialogs[index].target));
        if others.is_empty() || matches!(self.is.name, "nat" | "roam") {
            return;
        }
        let to = self.random.pick(&others);
        let refer = self.dialogs[index].request("REFER", &self.is.contact).with("Refer-To", format!("<{to}>"));
        let refer = refer.with("Referred-By", format!("<{}>", self.is.address)).without_body();
        self.start_within(now, index, refer);
    }

    pub(crate) fn hang_up(&mut self, now: Duration, index: usize) {
        let contact = self.is.contact.clone();
        let dialog = &mut self.dialogs[index];
        (dialog.state, dialog.offer) = (State::Over, None);
        let bye = dialog.request("BYE", &contact).without_body();
        self.start_within(now, index, bye);
    }

    /// Somebody else wants another description.
    pub(crate) fn reinvited(&mut self, now: Duration, server: usize, index: usize) {
        let message = self.servers[server].request.clone();
        let glare = self
            .clients
            .iter()
            .any(|client| client.is_invite() && client.is_pending() && self.dialogs[index].is_of_own(&client.request));
        if glare || self.dialogs[index].offer.is_some() {
            return self.refuse(now, server, 491);
        }
        if self.dialogs[index].state == State::Early {
            return self.refuse(now, server, 500);
        }
        if self.random.percent(10) {
            return self.refuse(now, server, 488);
        }
        self.refresh(index, &message);
        let body = if message.body.is_empty() {
            let cseq = message.cseq().0;
            let of = &mut self.dialogs[index];
            of.version += 1;
            let lines = of.lines.clone();
            of.offer = Some(Offer { lines: lines.clone(), cseq });
            self.is.style.write(self.is.name, of.version, &lines)
        } else {
            self.answer(index, &message.body)
        };
        self.respond_surely(now, server, 200, &[], Some(&body));
    }

    pub(crate) fn updated(&mut self, server: usize, index: usize) {
        let message = self.servers[server].request.clone();
        let of = &self.dialogs[index];
        let glare = self.clients.iter().any(|client| {
            client.is_invite() && client.is_pending() && of.state == State::Confirmed && of.is_of_own(&client.request)
        });
        if of.offer.is_some() || glare {
            return self.respond(server, 491, &[], None);
        }
        if of.lines.is_empty() {
            return self.respond(server, 500, &[("Retry-After", "1")], None);
        }
        if self.random.percent(10) {
            return self.respond(server, 488, &[], None);
        }
        self.refresh(index, &message);
        let body = self.answer(index, &message.body);
        self.respond(server, 200, &[], Some(&body));
    }

    /// A target refresh (RFC 3261 §12.2).
    fn refresh(&mut self, index: usize, message: &Message) {
        if let Some(contact) = message.find("Contact") {
            self.dialogs[index].target = uri_of(contact).to_owned();
        }
    }

    pub(crate) fn reinvite_response(
        &mut self,
        now: Duration,
        request: &Message,
        message: &Message,
        status: u16,
        first: bool,
    ) {
        let Some(index) = self.dialogs.iter().position(|dialog| dialog.is_of_own(request)) else { return };
        let cseq = request.cseq().0;
        if (200..300).contains(&status) {
            let known = self.dialogs[index].acks.iter().find(|ack| ack.cseq().0 == cseq).cloned();
            if let Some(ack) = known {
                return self.send_ack(index, &ack);
            }
            self.refresh(index, message);
            let contact = self.is.contact.clone();
            let ack = self.dialogs[index].numbered("ACK", &contact, cseq);
            let offer = self.dialogs[index].offer.take_if(|offer| offer.cseq == cseq);
            let told = read(&message.body);
            let ack = match offer {
                Some(offer) => {
                    self.dialogs[index].agree(offer.lines, told);
                    ack.without_body()
                }
                None if request.body.is_empty() => {
                    let body = self.answer(index, &message.body);
                    ack.with_sdp(body)
                }
                None => ack.without_body(),
            };
            self.acknowledge(now, index, ack);
        } else if status >= 300 && first {
            self.not_agreed(now, index, request, status);
        }
    }

    /// The final response to another request.
    pub(crate) fn other_response(&mut self, now: Duration, request: &Message, message: &Message, status: u16) {
        let method = request.method().unwrap_or_default();
        let Some(index) = self.dialogs.iter().position(|dialog| dialog.is_of_own(request)) else { return };
        if !matches!(method, "UPDATE" | "PRACK") {
            return;
        }
        if status >= 300 {
            return self.not_agreed(now, index, request, status);
        }
        self.refresh(index, message);
        let offer = self.dialogs[index].offer.take_if(|offer| offer.cseq == request.cseq().0);
        if let Some(offer) = offer.filter(|_| !message.body.is_empty()) {
            self.dialogs[index].agree(offer.lines, read(&message.body));
        }
    }

    fn not_agreed(&mut self, now: Duration, index: usize, request: &Message, status: u16) {
        let contact = self.is.contact.clone();
        let dialog = &mut self.dialogs[index];
        let offer = dialog.offer.take_if(|offer| offer.cseq == request.cseq().0);
        if matches!(status, 408 | 481) && dialog.state == State::Confirmed {
            return self.hang_up(now, index);
        }
        if status == 407 && dialog.state == State::Confirmed && !dialog.authorises {
            dialog.authorises = true;
            let again = dialog.request(request.method().unwrap_or_default(), &contact);
            let Some(mut offer) = offer else { return };
            offer.cseq = again.cseq().0;
            let (lines, version) = (offer.lines.clone(), dialog.version);
            dialog.offer = Some(offer);
            let again = self.with_lines(again, version, &lines);
            self.start_within(now, index, again);
        }
    }
}
