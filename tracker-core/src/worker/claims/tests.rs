use super::deferred::{FEW_DEFERRED, MAX_DEFERRED, REMEMBERED};
use super::*;

const NOW: Duration = Duration::from_secs(100);
const WALL: Timestamp = Timestamp::EPOCH;

fn found(keys: &[&str]) -> Found {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Found { keys, is_complete: true, ..Found::default() }
}

fn claims() -> Claims {
    Claims::new(4, 2, 1)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn plan_has_every_source_once() {
    let mut claims = claims();
    let mut all: Vec<_> = claims.plan(NOW).groups.concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    let read = |source| SourceRead { source, has_tasks: source == 1, ..SourceRead::default() };
    let sources = (0..4).map(read).collect();
    claims.take_found(Found { sources, ..found(&[]) }, WALL, NOW);
    let groups = claims.plan(NOW).groups;
    assert!(
        groups[0].len() == 2 && groups[0][0] == 1,
        "the source that had tasks, and one of the others: {groups:?}"
    );
    assert_eq!(groups[1].len(), 2, "{groups:?}");
    let seconds: HashSet<_> = (0..20).map(|_| claims.plan(NOW).groups[0][1]).collect();
    assert_eq!(seconds.len(), 3, "each of the others has its turn");
}

#[test]
fn refused_task_is_deferred() {
    let mut claims = claims();
    assert_eq!(claims.take_found(found(&[]), WALL, NOW), SearchResult::Nothing);
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW), SearchResult::Some);
    let key = claims.next(NOW).unwrap().key;
    assert!(claims.plan(NOW).excluded.contains("a"));
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW), SearchResult::Nothing, "it runs here");
    claims.refused(&key, NOW);
    assert!(claims.plan(NOW).excluded.contains("a"));
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW), SearchResult::Later);
    let later = NOW + secs(2);
    assert!(!claims.plan(later).excluded.contains("a"));
    // After a lost race, the worker may leave the task to its rivals.
    while claims.take_found(found(&["a"]), WALL, later) != SearchResult::Some {}
    let key = claims.next(later).unwrap().key;
    claims.defer_until(&key, later + secs(60), false, later);
    assert_eq!(
        claims.take_found(found(&["a"]), WALL, later + secs(59)),
        SearchResult::Nothing,
        "not awaited"
    );
    claims.defer_until(&key, later + secs(60), true, later);
    assert_eq!(claims.take_found(found(&["a"]), WALL, later + secs(59)), SearchResult::Later);
    claims.granted(&key, false, later);
    assert!(!claims.is_deferred(&key, later));
}

#[test]
fn done_task_is_not_claimed_again_while_the_index_lags() {
    let mut claims = claims();
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW), SearchResult::Some);
    let key = claims.next(NOW).unwrap().key;
    claims.granted(&key, true, NOW);
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW + secs(4)), SearchResult::Nothing);
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW + secs(6)), SearchResult::Some, "redriven, say");
}

#[test]
fn drain_stops_waiting_for_a_task_that_always_fails_to_start() {
    for (limit, trouble) in [
        (MAX_REFUSALS, Claims::refused as fn(&mut Claims, &str, Duration)),
        (MAX_ERRORS, Claims::on_transient_error),
    ] {
        let mut claims = claims();
        let mut now = NOW;
        for nth in 1..=limit + 1 {
            while claims.take_found(found(&["a"]), WALL, now) != SearchResult::Some {}
            let key = claims.next(now).unwrap().key;
            trouble(&mut claims, &key, now);
            let result = claims.take_found(found(&["a"]), WALL, now);
            assert_eq!(result, if nth <= limit { SearchResult::Later } else { SearchResult::Nothing });
            now += secs(1 << nth);
        }
    }
}

#[test]
fn task_found_long_ago_is_not_claimed() {
    let mut claims = claims();
    assert_eq!(claims.take_found(found(&["a"]), WALL, NOW), SearchResult::Some);
    assert_eq!(claims.next(NOW + secs(3)), None);
}

#[test]
fn one_suspect_runs_at_a_time() {
    let mut claims = Claims::new(4, 8, 1);
    let all = || Found { suspects: HashSet::from(["a".to_owned(), "b".to_owned()]), ..found(&["a", "b"]) };
    while claims.take_found(all(), WALL, NOW) != SearchResult::Some {}
    let first = claims.next(NOW).unwrap().key;
    assert_eq!(claims.next(NOW), None);
    assert_eq!(claims.take_found(all(), WALL, NOW), SearchResult::Later, "the other waits");
    let healthy = || Found { keys: vec!["a".into(), "b".into(), "c".into()], ..all() };
    while claims.take_found(healthy(), WALL, NOW) != SearchResult::Some {}
    assert_eq!(claims.next(NOW).map(|next| next.key).as_deref(), Some("c"));
    claims.granted(&first, true, NOW);
    while claims.take_found(all(), WALL, NOW) != SearchResult::Some {}
    assert_ne!(claims.next(NOW).unwrap().key, first);
}

#[test]
fn memory_is_bounded() {
    let mut claims = claims();
    for nth in 0..3 * MAX_DEFERRED {
        claims.defer_until(&nth.to_string(), NOW + secs(1), false, NOW);
    }
    assert!(claims.deferred.len() <= MAX_DEFERRED);
}

#[test]
fn deferred_tasks_are_forgotten_when_their_time_is_over() {
    let mut claims = claims();
    for nth in 0..10 * FEW_DEFERRED as u64 {
        let now = NOW + secs(nth);
        claims.granted(&nth.to_string(), true, now);
        assert!(claims.is_deferred(&nth.to_string(), now), "{nth}");
    }
    assert!(claims.deferred.len() <= FEW_DEFERRED, "{}", claims.deferred.len());
}

#[test]
fn count_of_refusals_outlives_the_deferral() {
    let mut claims = claims();
    claims.refused("a", NOW);
    for nth in 0..10 * FEW_DEFERRED as u64 {
        claims.granted(&nth.to_string(), true, NOW + secs(nth % 60));
    }
    let now = NOW + secs(60);
    claims.refused("a", now);
    assert!(claims.is_deferred("a", now + secs(3)), "for four seconds, because it is the second time");
    claims.granted("b", true, now);
    for nth in 0..10 * FEW_DEFERRED as u64 {
        claims.granted(&format!("later {nth}"), true, now + REMEMBERED + secs(10));
    }
    assert!(claims.deferred.get("a").is_none());
}
