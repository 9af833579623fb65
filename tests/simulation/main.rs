//! Whole calls through the bridge, by user agents that keep to the RFCs, over a network
//! that loses, repeats and overtakes. Nothing here opens a socket, and a seed gives the
//! same run again: `SEED=17 cargo test --test simulation`, which prints all messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, reason = "nothing of a test is reachable from elsewhere")]

mod agent;
mod bridge;
mod callee;
mod caller;
mod cast;
mod checks;
mod description;
mod dialog;
mod media;
#[path = "../outside/harness/message.rs"]
#[allow(dead_code, unreachable_pub, reason = "others need more of it")]
mod message;
mod network;
mod offers;
mod random;
mod registrar;
mod transaction;
#[path = "../outside/harness/uri.rs"]
#[allow(dead_code, unreachable_pub, reason = "others need more of it")]
mod uri;
mod world;

use std::time::Duration;

use crate::agent::Agent;
use crate::dialog::State;
use crate::world::World;

/// Nobody begins anything until nothing is under way any more.
fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..100 {
        world.run(world.now + Duration::from_secs(10))?;
        if world.agents.iter().all(Agent::is_idle) {
            return Ok(());
        }
    }
    Err("it does not come to rest".to_owned())
}

/// In each call that goes on both parties are heard on each line, and there are as many
/// media sessions as that takes.
fn look(world: &mut World) -> Result<(), String> {
    world.speak(false)?;
    world.speak(true)?;
    let (sessions, expected) = (world.bridge.sessions(), world.expected_sessions());
    if world.circumstances.weather.is_fair() && sessions != expected {
        let streams = world.bridge.streams().join("\n");
        return Err(format!("{sessions} sessions, not {expected}, and streams for\n{streams}"));
    }
    Ok(())
}

/// When everybody has hung up nothing is left.
fn end(world: &mut World) -> Result<(), String> {
    let now = world.now;
    for agent in &mut world.agents {
        for index in 0..agent.dialogs.len() {
            if agent.dialogs[index].state == State::Confirmed {
                agent.hang_up(now, index);
            }
        }
    }
    settle(world)?;
    if !world.circumstances.weather.is_fair() {
        // An INVITE that came again after its call began a session that ends by itself.
        world.run(world.now + Duration::from_secs(90))?;
    }
    match (world.bridge.sessions(), world.bridge.streams()) {
        (0, streams) if streams.is_empty() => Ok(()),
        (sessions, streams) => Err(format!("{sessions} sessions are left, and streams for\n{}", streams.join("\n"))),
    }
}

fn play(world: &mut World) -> Result<(), String> {
    world.register()?;
    for _ in 0..4 {
        for _ in 0..world.random.below(40) {
            world.act()?;
            let pause = world.random.millis(0, 1_500);
            world.run(world.now + pause)?;
        }
        settle(world)?;
        look(world)?;
    }
    end(world)
}

/// What went wrong in a run, and with `is_watched` all that happened.
fn run(seed: u64, is_watched: bool) -> Result<(), (String, Vec<String>)> {
    let mut world = World::new(seed, is_watched);
    play(&mut world).map_err(|why| (why, world.trace))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn calls_go_as_their_parties_want() {
    if let Some(seed) = number("SEED") {
        let Err((why, trace)) = run(seed, true) else { return };
        trace.iter().for_each(|line| println!("{line}"));
        panic!("{why}");
    }
    let runs = number("RUNS").unwrap_or(40);
    let findings: Vec<String> = (0..runs)
        .filter_map(|seed| run(seed, false).err().map(|(why, _)| format!("seed {seed}: {why}").replace('\r', "")))
        .collect();
    assert!(findings.is_empty(), "{} of {runs}:\n{}", findings.len(), findings.join("\n"));
}
