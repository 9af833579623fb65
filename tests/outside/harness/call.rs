//! Whole calls, where a test is about something else than their messages.

use super::agent::Received;
use super::dialog::Dialog;
use super::media::{Bridge, Described};
use super::message::{Message, unique};
use super::party::Party;

/// One party of a call that stands: its dialog, and where it was told to send media.
#[derive(Clone, Debug)]
pub struct End {
    /// Its side of the dialog.
    pub dialog: Dialog,
    /// Where it was told to send media.
    pub told: Described,
}

/// A call that stands.
#[derive(Clone, Debug)]
pub struct Call {
    /// The caller.
    pub caller: End,
    /// The callee.
    pub callee: End,
}

/// An INVITE that rings at the callee.
#[derive(Clone, Debug)]
pub struct Ringing {
    /// As the caller sent it.
    pub invite: Message,
    /// As the callee got it.
    pub received: Received,
    /// The To-tag of the callee.
    pub to_tag: String,
    /// Where the caller sent it.
    pub proxy: String,
}

/// INVITE, 100, 180. The request goes to `proxy`.
pub fn ring(caller: &Party, callee: &Party, uri: &str, proxy: &str) -> Ringing {
    ring_with(caller, callee, caller.invite(uri), proxy)
}

/// The same with an INVITE of the caller's own making.
pub fn ring_with(caller: &Party, callee: &Party, invite: Message, proxy: &str) -> Ringing {
    caller.agent.send(&invite, proxy);
    let received = callee.agent.receive_request("INVITE");
    let to_tag = unique("t");
    callee.respond(&received, 100, "Trying", &to_tag);
    caller.agent.receive_response(100, &invite);
    callee.respond(&received, 180, "Ringing", &to_tag);
    caller.agent.receive_response(180, &invite);
    Ringing { invite, received, to_tag, proxy: proxy.to_owned() }
}

/// INVITE, 100, 180, 200, ACK.
pub fn establish(caller: &Party, callee: &Party, uri: &str, proxy: &str) -> Call {
    let ringing = ring(caller, callee, uri, proxy);
    answer(caller, callee, &ringing)
}

/// 200 and ACK.
pub fn answer(caller: &Party, callee: &Party, ringing: &Ringing) -> Call {
    answer_through(caller, callee, ringing, || {})
}

/// The same, where somebody else passes the 200 on.
pub fn answer_through(caller: &Party, callee: &Party, ringing: &Ringing, pass_on: impl FnOnce()) -> Call {
    let sent = callee.accept(&ringing.received, &ringing.to_tag);
    pass_on();
    let response = caller.agent.receive_response(200, &ringing.invite).message;
    let caller_dialog = Dialog::of_caller(&ringing.invite, &response);
    let callee_dialog = Dialog::of_callee(&ringing.received.message, &sent);
    caller_dialog.send(&caller.agent, &caller_dialog.ack(&caller.agent, &ringing.invite));
    callee_dialog.assert_owns(&callee.agent.receive_request("ACK"));
    Call {
        caller: End { dialog: caller_dialog, told: Described::of(&response) },
        callee: End { dialog: callee_dialog, told: Described::of(&ringing.received.message) },
    }
}

/// The callee refuses; the ACK comes through as well.
pub fn refuse(caller: &Party, callee: &Party, ringing: &Ringing, status: u16, reason: &str) {
    callee.respond(&ringing.received, status, reason, &ringing.to_tag);
    let refusal = caller.agent.receive_response(status, &ringing.invite).message;
    let ack = follow_up("ACK", &ringing.invite).replacing("To", refusal.value("To"));
    caller.agent.send(&ack, &ringing.proxy);
    let ack = callee.agent.receive_request("ACK").message;
    let invite = &ringing.received.message;
    assert_eq!(branch_of(&ack), branch_of(invite), "the ACK of a refusal has the branch of its INVITE");
}

/// A CANCEL, or the ACK of a refusal: of the same transaction as `invite`, so
/// that it has its topmost Via (RFC 3261 §9.1, §17.1.1.3).
pub fn follow_up(method: &str, invite: &Message) -> Message {
    Message::request(method, invite.request_uri())
        .with("Via", invite.value("Via"))
        .with("Max-Forwards", "70")
        .with("From", invite.value("From"))
        .with("To", invite.value("To"))
        .with("Call-ID", invite.value("Call-ID"))
        .with("CSeq", format!("{} {method}", invite.cseq().0))
        .without_body()
}

/// The branch of the topmost Via.
pub fn branch_of(message: &Message) -> String {
    super::uri::parameter(message.value("Via"), "branch").expect("a Via of ours has a branch").to_owned()
}

impl Call {
    /// Asserts that `count` RTP and RTCP packets go each way.
    pub fn assert_talks(&self, caller: &Party, callee: &Party, count: u16) {
        let bridge = Bridge { one: (&caller.media, self.caller.told), other: (&callee.media, self.callee.told) };
        bridge.assert_carries(count);
    }

    /// BYE by the caller, and its 200.
    pub fn end_by_caller(&mut self, caller: &Party, callee: &Party) {
        end((&mut self.caller.dialog, caller), (&self.callee.dialog, callee));
    }

    /// BYE by the callee, and its 200.
    pub fn end_by_callee(&mut self, caller: &Party, callee: &Party) {
        end((&mut self.callee.dialog, callee), (&self.caller.dialog, caller));
    }
}

fn end((dialog, from): (&mut Dialog, &Party), (other, to): (&Dialog, &Party)) {
    let bye = dialog.request(&from.agent, "BYE").without_body();
    dialog.send(&from.agent, &bye);
    let received = to.agent.receive_request("BYE");
    other.assert_owns(&received);
    to.respond(&received, 200, "OK", "");
    from.agent.receive_response(200, &bye);
}
