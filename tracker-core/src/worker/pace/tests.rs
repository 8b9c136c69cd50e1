use std::collections::HashSet;

use super::super::claims::Found;
use super::*;

const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

fn pace() -> (Pace, Claims) {
    (Pace::new(POLL, Duration::from_mins(5), None, Duration::ZERO), Claims::new(2, 16, 1))
}

fn slots(running: usize) -> Slots {
    Slots { running, concurrency: 16, drains: false }
}

fn drains() -> Slots {
    Slots { drains: true, ..slots(0) }
}

/// Returns whether the worker searches, or how long it waits.
fn waits(pace: &mut Pace, claims: &mut Claims, slots: Slots, now: Duration) -> Option<Duration> {
    match pace.step(claims, slots, now) {
        Step::Search(_) => None,
        Step::Wait(wait) => Some(wait),
    }
}

#[test]
fn worker_that_is_refused_often_searches_rarely_until_tasks_wait_for_too_long() {
    let (mut pace, mut claims) = pace();
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
    for _ in 0..10 {
        pace.on_start(true, Duration::ZERO);
        assert!(waits(&mut pace, &mut claims, slots(0), secs(1.0)).is_some());
    }
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(2.0)), Some(secs(19.0)));
    assert_eq!(waits(&mut pace, &mut claims, drains(), secs(2.0)), None, "a drain does not wait for that");
    let ready = Timestamp::EPOCH.plus(secs(100.0));
    let read = SourceRead { oldest: Some(ready), ..SourceRead::default() };
    pace.on_read(&[read], ready.plus(secs(0.5)), secs(2.0));
    assert!(waits(&mut pace, &mut claims, slots(0), secs(4.0)).is_some());
    pace.on_read(&[read], ready.plus(secs(1.5)), secs(2.0));
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.0)), None);
    (0..9).for_each(|_| pace.on_start(true, Duration::ZERO));
    pace.on_start(false, Duration::ZERO);
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.1)), Some(secs(0.6)), "no longer than before");
    // Nothing is granted: rivals start the tasks, or the clocks differ. Still the wait ends soon.
    pace.on_start(true, Duration::ZERO);
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.1)), Some(secs(1.65)));
    pace.on_read(&[read], ready.plus(secs(3.0)), secs(4.1));
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(4.1)), Some(secs(0.6)));
}

#[test]
fn short_poll_does_not_end_the_wait_for_rivals() {
    let poll = (Duration::from_millis(50), Duration::from_millis(50));
    let mut pace = Pace::new(poll, Duration::from_mins(5), None, Duration::ZERO);
    let mut claims = Claims::new(2, 16, 1);
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
    let ready = Timestamp::EPOCH.plus(secs(100.0));
    let read = SourceRead { oldest: Some(ready), ..SourceRead::default() };
    for _ in 0..10 {
        pace.on_read(&[read], ready.plus(secs(0.3)), secs(1.0));
        pace.on_start(true, Duration::ZERO);
        assert!(waits(&mut pace, &mut claims, slots(0), secs(1.0)).is_some());
    }
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), Some(secs(1.0)));
}

#[test]
fn wait_for_rivals_is_bounded_and_ends_if_leases_have_expired() {
    let poll = (Duration::from_secs(1), Duration::from_mins(10));
    let mut pace = Pace::new(poll, Duration::from_mins(5), Some(1), Duration::ZERO);
    let mut claims = Claims::new(2, 16, 1);
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
    for _ in 0..10 {
        pace.on_start(true, Duration::ZERO);
        assert!(waits(&mut pace, &mut claims, slots(0), secs(1.0)).is_some());
    }
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), Some(MOST_RIVAL_WAIT));
    let expired = SourceRead { source: 1, has_tasks: true, ..SourceRead::default() };
    pace.on_read(&[expired], Timestamp::EPOCH.plus(secs(100.0)), secs(1.0));
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), Some(secs(0.7)));
}

#[test]
fn worker_without_rivals_searches_at_once() {
    let (mut pace, mut claims) = pace();
    (0..100).for_each(|_| pace.on_start(false, Duration::ZERO));
    for nth in 0..10 {
        assert_eq!(
            waits(&mut pace, &mut claims, slots(nth), secs(f64::from(u32::try_from(nth).unwrap()))),
            None
        );
    }
}

#[test]
fn worker_waits_a_little_until_several_slots_are_free() {
    let (mut pace, mut claims) = pace();
    assert_eq!(waits(&mut pace, &mut claims, slots(0), secs(1.0)), None);
    assert_eq!(waits(&mut pace, &mut claims, slots(13), secs(1.1)), Some(2 * MOMENT));
    assert_eq!(waits(&mut pace, &mut claims, slots(12), secs(1.1)), None);
    assert_eq!(waits(&mut pace, &mut claims, slots(15), secs(1.6)), None, "it has waited");
    let single = Slots { running: 2, concurrency: 3, drains: false };
    assert_eq!(waits(&mut pace, &mut claims, single, secs(1.6)), None);
}

/// Claims a task at a time, and lets a rival be faster, as the worker notices at another.
fn lose(claims: &mut Claims, key: &str, claimed: Duration, refused: Duration) {
    claims.take_found(Found { keys: vec![key.to_owned()], ..Found::default() }, Timestamp::EPOCH, claimed);
    let key = claims.next(claimed).unwrap().key;
    claims.refused(&key, refused);
}

/// Lets rivals be faster at each of 20 claims, and returns how long a drain waits then.
fn wait_after_refusals(search: Duration, start: Duration) -> Duration {
    let (mut pace, mut claims) = pace();
    assert_eq!(waits(&mut pace, &mut claims, drains(), Duration::ZERO), None);
    pace.on_search_end(search);
    for nth in 0..20 {
        lose(&mut claims, &nth.to_string(), search, search + start);
        pace.on_start(true, search + start + secs(f64::from(nth)));
    }
    claims.take_found(Found { keys: vec!["last".to_owned()], ..Found::default() }, Timestamp::EPOCH, search);
    claims.drop_found();
    (0..100).find_map(|_| waits(&mut pace, &mut claims, drains(), search + start)).unwrap()
}

#[test]
fn drain_leaves_tasks_to_rivals_for_as_long_as_its_requests_take() {
    assert_eq!(wait_after_refusals(secs(0.001), secs(0.001)), MOMENT);
    assert_eq!(wait_after_refusals(secs(0.02), secs(0.02)), secs(0.08));
    assert_eq!(wait_after_refusals(secs(0.01), secs(0.3)), secs(1.2), "starts wait in a queue");
    assert_eq!(wait_after_refusals(secs(0.01), secs(1.0)), MOST_LEFT);
    assert_eq!(
        wait_after_refusals(secs(0.01), secs(30.0)),
        MOST_LEFT,
        "the starts alone took longer than a drain leaves tasks to rivals"
    );
}

#[test]
fn drain_searches_again_however_many_rivals_it_has() {
    let (mut pace, mut claims) = pace();
    assert_eq!(waits(&mut pace, &mut claims, drains(), Duration::ZERO), None);
    (0..20).for_each(|nth| lose(&mut claims, &nth.to_string(), Duration::ZERO, Duration::ZERO));
    // So slow that each wait has the longest length.
    pace.on_search_end(secs(1.0));
    let (mut now, mut longest) = (secs(1.0), Duration::ZERO);
    for _ in 0..100 {
        let began = now;
        while let Some(wait) = waits(&mut pace, &mut claims, drains(), now) {
            now += wait;
        }
        longest = longest.max(now.saturating_sub(began));
    }
    assert!((MOST_LEFT_IN_A_ROW..MOST_LEFT_IN_A_ROW + MOMENT).contains(&longest), "{longest:?}");
}

#[test]
fn drain_searches_expired_leases_now_and_then_and_before_it_ends() {
    let mut pace = Pace::new(POLL, Duration::from_mins(5), Some(2), Duration::ZERO);
    let mut claims = Claims::new(3, 16, 1);
    let sources = |pace: &mut Pace, claims: &mut Claims, now| match pace.step(claims, drains(), now) {
        Step::Search(plan) => plan.groups.concat().into_iter().collect::<HashSet<_>>(),
        Step::Wait(wait) => panic!("waits for {wait:?}"),
    };
    let read = |source, has_tasks| SourceRead { source, has_tasks, ..SourceRead::default() };
    let end = |pace: &mut Pace, claims: &mut Claims, reads: Vec<SourceRead>, now| {
        pace.on_read(&reads, Timestamp::EPOCH, now);
        claims.take_found(
            Found { sources: reads, is_complete: true, ..Found::default() },
            Timestamp::EPOCH,
            now,
        )
    };
    assert!(sources(&mut pace, &mut claims, secs(0.0)).contains(&2));
    end(&mut pace, &mut claims, vec![read(0, true), read(1, false), read(2, false)], secs(0.0));
    assert_eq!(sources(&mut pace, &mut claims, secs(1.0)), HashSet::from([0, 1]));
    assert!(pace.has_left_out());
    assert!(sources(&mut pace, &mut claims, secs(30.0)).contains(&2), "a tenth of the lease has passed");
    end(&mut pace, &mut claims, vec![read(0, true), read(2, false)], secs(30.0));
    assert!(!sources(&mut pace, &mut claims, secs(31.0)).contains(&2));
    let nothing = end(&mut pace, &mut claims, vec![read(0, false), read(1, false)], secs(31.0));
    assert!(nothing == SearchResult::Nothing && pace.has_left_out());
    assert!(sources(&mut pace, &mut claims, secs(31.0)).contains(&2), "nothing else is left");
    assert!(!pace.has_left_out());
}
