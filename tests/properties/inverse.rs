//! What one side wrote comes back as it wrote it.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use sipproxy64::address::{Directory, Rights, Source};
use sipproxy64::config::Config;
use sipproxy64::edit::Edits;
use sipproxy64::family::Family;
use sipproxy64::rewrite::uri::{Crossing, Place};
use sipproxy64::scan::Span;
use sipproxy64::sip::name_addr::UriForm;

use crate::settings::{cases, config, senders, side};
use crate::uri::{draft, spellings};

/// A URI as it leaves, in the brackets that it may have gained.
fn crossed(directory: &Directory, uri: &str, way: (SocketAddr, SocketAddr), place: Place) -> String {
    let (source, destination) = way;
    let rights = match directory.source(source) {
        Source::Phone(_) => Rights::Phone,
        Source::Uplink => Rights::Uplink,
        Source::Generic | Source::Ourselves => Rights::Generic,
    };
    let arrival = Family::of(source.ip());
    let crossing = Crossing { directory, arrival, source, rights, destination, redirect: false, another_port: false };
    let mut edits = Edits::default();
    edits.clear();
    crossing.map(uri.as_bytes(), Span::new(0, uri.len()), place, UriForm::Bracketed, &mut edits);
    let mut out = Vec::new();
    edits.apply(uri.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

/// Whether somebody made a token up: an `s64=` behind an address of ours that no
/// message of ours can have put there.
fn is_made_up(config: &Config, uri: &str, arrival: Family) -> bool {
    let lower = uri.to_lowercase();
    let at_ours = crate::settings::ours(config, arrival)
        .iter()
        .any(|ours| spellings(ours.ip()).any(|ours| lower.contains(&ours)));
    at_ours && lower.contains(";s64")
}

fn place() -> impl Strategy<Value = Place> {
    prop::sample::select(vec![Place::Identity, Place::Contact, Place::Elsewhere, Place::Bare])
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn a_uri_comes_back_to_the_side_that_wrote_it(
        config in config(), side in side(), draft in draft(), (place, back) in (place(), place()),
        (writer, reader, again) in any::<(Index, Index, Index)>(),
    ) {
        let directory = Directory::new(Arc::clone(&config.0));
        let uri = draft.write(&config);
        // What could be left of a token is made up too, but stays where it is one.
        let left = uri.contains("s64x=_") && (place, back) != (Place::Identity, Place::Identity);
        if left || is_made_up(&config, &uri, side) {
            return Ok(());
        }
        let writer = *writer.get(&senders(&config, side));
        let reader = *reader.get(&senders(&config, side.other()));
        let again = *again.get(&senders(&config, side));
        let there = crossed(&directory, &uri, (writer, reader), place);
        // From and To keep what else was in a token; a bare place cannot lose one.
        let back = match (place, back) {
            (Place::Bare, _) => Place::Bare,
            (Place::Identity, back) if back != Place::Bare => back,
            _ => Place::Elsewhere,
        };
        let returned = crossed(&directory, &there, (reader, again), back);
        // Where rule 1 alone counts, what it did not touch is taken for an address of
        // the other side there.
        if place != Place::Bare || there != uri {
            prop_assert_eq!(&returned, &uri, "by {}", there);
        }
    }

    /// What a token had beyond WRITTEN stays in From and To while it is with the
    /// other side, and is there again afterwards.
    #[test]
    fn a_token_that_was_dialled_comes_back_whole(
        config in config(), side in side(), draft in draft(), place in place(),
        (writer, reader, again) in any::<(Index, Index, Index)>(),
    ) {
        let directory = Directory::new(Arc::clone(&config.0));
        let uri = draft.write(&config);
        if place == Place::Bare || uri.contains("s64x=_") || is_made_up(&config, &uri, side) {
            return Ok(());
        }

        let writer = *writer.get(&senders(&config, side));
        let reader = *reader.get(&senders(&config, side.other()));
        let again = *again.get(&senders(&config, side));
        let there = crossed(&directory, &uri, (writer, reader), place);
        let dialled = crossed(&directory, &there, (reader, again), Place::Identity);
        let echoed = crossed(&directory, &dialled, (again, reader), Place::Identity);
        prop_assert_eq!(&echoed, &there, "by {}", dialled);
    }
}
