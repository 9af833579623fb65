use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn pool(low: u16, high: u16, order: PortOrder) -> PortPool {
    PortPool::new(PortRange::new(low, high).unwrap(), order, Family::V4)
}

fn drain(pool: &mut PortPool, now: Duration) -> Vec<u16> {
    std::iter::from_fn(|| pool.take(now)).collect()
}

#[test]
fn every_pair_is_handed_out_once_even_and_within_the_range() {
    for order in [PortOrder::Ascending, PortOrder::Random(7)] {
        let mut pool = pool(65001, 65535, order);
        let ports = drain(&mut pool, Duration::ZERO);
        assert_eq!(ports.len(), 267);
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 267);
        assert!(ports.iter().all(|port| port % 2 == 0 && (65002..=65534).contains(port)));
    }
}

#[test]
fn ascending_starts_at_the_bottom_and_wraps_around() {
    let mut pool = pool(2000, 2005, PortOrder::Ascending);
    assert_eq!(pool.take(Duration::ZERO), Some(2000));
    pool.free(Duration::ZERO, 2000);
    assert_eq!(drain(&mut pool, REST), [2002, 2004, 2000]);
}

#[test]
fn a_taken_port_rests_long() {
    let mut pool = pool(2000, 2003, PortOrder::Ascending);
    let port = pool.take(Duration::ZERO).unwrap();
    pool.taken(Duration::ZERO, port);
    assert_eq!(drain(&mut pool, REST * 2), [2002]);
    assert_eq!(drain(&mut pool, REST_TAKEN), [port]);
}

#[test]
fn what_is_not_in_use_cannot_be_freed() {
    let mut pool = pool(2000, 2003, PortOrder::Ascending);
    for port in [0, 1999, 2000, 2004, u16::MAX] {
        pool.free(Duration::ZERO, port);
    }
    assert_eq!(pool.available(REST), 2);
    let port = pool.take(REST).unwrap();
    pool.free(REST, port);
    pool.free(REST, port);
    assert_eq!(pool.available(REST * 2), 2);
}

#[test]
fn the_draw_is_uniform_and_follows_no_order() {
    let mut pool = pool(2000, 2063, PortOrder::Random(11));
    let mut counts = BTreeMap::<u16, u32>::new();
    let mut rises = 0;
    let mut last = 0;
    for n in 0..32_000u32 {
        let now = REST * n;
        let port = pool.take(now).unwrap();
        pool.free(now, port);
        *counts.entry(port).or_default() += 1;
        rises += u32::from(port > last);
        last = port;
    }
    // 32 pairs, 31 of them free each time: a thousand each. Chi-squared with 31
    // degrees of freedom is below 70 but once in ten thousand seeds.
    let chi: f64 = counts.values().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
    assert!(counts.len() == 32 && chi < 70.0, "{chi}");
    assert!((15_000..17_000).contains(&rises), "{rises}");
}

#[test]
fn the_families_draw_apart() {
    let range = PortRange::new(16384, 32767).unwrap();
    let draw = |family| drain(&mut PortPool::new(range, PortOrder::Random(5), family), Duration::ZERO);
    assert_ne!(draw(Family::V4)[..50], draw(Family::V6)[..50]);
}

proptest! {
    #[test]
    fn ports_are_exclusive_and_rest(seed: u64, steps in prop::collection::vec((0u64..2000, any::<bool>(), any::<prop::sample::Index>()), 1..300)) {
        let mut pool = pool(2000, 2019, PortOrder::Random(seed));
        let (mut now, mut used, mut freed) = (Duration::ZERO, Vec::new(), BTreeMap::new());
        for (wait, take, index) in steps {
            now += Duration::from_millis(wait);
            if take {
                match pool.take(now) {
                    Some(port) => {
                        prop_assert!(!used.contains(&port));
                        prop_assert!(freed.get(&port).is_none_or(|&at| now >= at + REST));
                        used.push(port);
                    }
                    None => prop_assert!(used.len() + freed.values().filter(|&&at| now < at + REST).count() >= 10),
                }
            } else if !used.is_empty() {
                let port = used.swap_remove(index.index(used.len()));
                pool.free(now, port);
                freed.insert(port, now);
            }
            prop_assert_eq!(pool.in_use(), used.len());
        }
        for port in used {
            pool.free(now, port);
        }
        prop_assert_eq!(pool.available(now + REST), 10);
    }
}
