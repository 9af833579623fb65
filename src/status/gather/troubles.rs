//! What went wrong, by its kind and in words, with how often.

use std::cmp::Ordering;
use std::io;

use crate::signalling::{Signalling, Trouble};
use crate::status::Trouble as Told;

/// Those of the processes before, and of this one. Counts of one kind with the same
/// words are one.
pub(super) fn troubles(signalling: &Signalling, before: Vec<Told>) -> Vec<Told> {
    let of_this = signalling.troubles();
    let mut told: Vec<Told> = before
        .into_iter()
        .chain(of_this.into_iter().map(|(trouble, count)| {
            let errno = |errno| io::Error::from_raw_os_error(errno).to_string();
            let reason = match trouble {
                Trouble::Dropped(reason) | Trouble::Refused(reason) => reason.to_string(),
                Trouble::Unsent(error) | Trouble::Unreachable(error) | Trouble::Unbound(error) => errno(error),
                Trouble::TooBig => "too big for its path, sent again in smaller fragments".to_owned(),
                Trouble::Circling => "came back to ourselves over and over".to_owned(),
                Trouble::NotRelayable => "TCP, multicast and the like are not relayed".to_owned(),
                Trouble::Unregistered(why) => why.to_string(),
                Trouble::Unserved => "no ports left, or one too many".to_owned(),
                Trouble::Overload => "made way for calls that are there".to_owned(),
            };
            Told { kind: trouble.kind().into(), reason, count }
        }))
        .collect();
    sort(&mut told, by_name);
    told.dedup_by(|again, first| {
        let same = by_name(again, first).is_eq();
        if same {
            first.count = first.count.saturating_add(again.count);
        }
        same
    });
    sort(&mut told, |one, other| other.count.cmp(&one.count).then_with(|| by_name(one, other)));
    told
}

fn by_name(one: &Told, other: &Told) -> Ordering {
    (&one.kind, &one.reason).cmp(&(&other.kind, &other.reason))
}

/// One for both orders, as it is large.
fn sort(told: &mut [Told], order: fn(&Told, &Told) -> Ordering) {
    told.sort_unstable_by(order);
}
