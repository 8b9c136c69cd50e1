//! The search finds what each guard is for.

use stateright::{Checker, HasDiscoveries, Model};

use super::bounds::{Bounds, FIRST_TICK};
use super::mutant::Mutant;
use super::tests::{MOMENT, TAKEOVER, described};
use super::violation::Violation;
use super::{EXPECTED, Protocol, VIOLATIONS};

/// Finds a shortest counter-example, and prints its length. Returns what is wrong if it does not break the promise that the guard
/// is for.
fn find(mutant: Mutant, bounds: Bounds, expected: Violation) -> Result<(), String> {
    find_until(HasDiscoveries::AnyFailures, mutant, bounds, expected)
}

/// Does the same with a counter-example that breaks this promise, although shorter ones break others.
fn find_longer(mutant: Mutant, bounds: Bounds, expected: Violation) -> Result<(), String> {
    find_until(HasDiscoveries::AllOf([EXPECTED].into()), mutant, bounds, expected)
}

fn find_until(
    until: HasDiscoveries,
    mutant: Mutant,
    bounds: Bounds,
    expected: Violation,
) -> Result<(), String> {
    let protocol = Protocol { bounds, mutant, breaks: Some(expected), sights: Vec::new() };
    let checker = protocol.checker().threads(1).finish_when(until).spawn_bfs().join();
    let states = checker.unique_state_count();
    let found = checker.discoveries().into_values();
    let mut found: Vec<_> = found.filter(|path| path.last_state().ghost.violation.is_some()).collect();
    // The search may find two counter-examples of the same length, in any order.
    found.sort_by_key(|path| path.last_state().ghost.violation != Some(expected));
    let Some(path) = found.into_iter().next() else {
        return Err(format!("{mutant:?}: no counter-example in {states} states"));
    };
    println!("{mutant:?}: {expected:?} in {} steps, {states} states", path.clone().into_actions().len());
    match path.last_state().ghost.violation {
        Some(broken) if broken == expected => Ok(()),
        broken => Err(format!("{mutant:?} breaks {broken:?}\n{}", described(path))),
    }
}

/// Returns bounds that are just wide enough for a mutant, and the promise that it breaks.
fn counter_example(mutant: Mutant) -> Option<(Bounds, Violation)> {
    let one_worker = Bounds { workers: 1, starts: 1, ..MOMENT };
    let (no_finish, one_finish) = (Bounds { finishes: 0, ..TAKEOVER }, Bounds { finishes: 1, ..TAKEOVER });
    Some(match mutant {
        // Only a second heartbeat lengthens the lease beyond the time at which the first lease looks expired.
        Mutant::DeadlineFromLastSend | Mutant::TakeoverPinsLockAlone => {
            (Bounds { heartbeats: 2, ..no_finish }, Violation::HolderNotInTable)
        }
        Mutant::MonotonicOnly | Mutant::WallOnly => {
            (Bounds { wild_clocks: 1, ..no_finish }, Violation::HolderNotInTable)
        }
        Mutant::DeadlineFromAnswer | Mutant::TakeoverWithoutSkew => (no_finish, Violation::HolderNotInTable),
        Mutant::FinishLeavesLockTime => (one_finish, Violation::LateStart),
        Mutant::FinishWithoutLock => (TAKEOVER, Violation::TwoFinishes),
        Mutant::DoneWithinDeadline => (Bounds { clocks_far_apart: true, ..TAKEOVER }, Violation::FalseDone),
        Mutant::TakeoverLeavesNoTrace => (one_finish, Violation::FalseDone),
        Mutant::JudgedByOwnLease => (Bounds { long_leases: true, ..no_finish }, Violation::HolderNotInTable),
        Mutant::FinishKeepsLosses => (one_finish, Violation::LossMiscounted),
        Mutant::TransactionWithoutLock | Mutant::EffectApart | Mutant::EffectLeftOut => {
            (Bounds { effects: true, ..one_worker }, Violation::EffectMiscounted)
        }
        Mutant::FailureBelievesItself => {
            (Bounds { effects: true, effect_turns: 2, ..one_worker }, Violation::FalseDone)
        }
        Mutant::ReleasesAnyAttempt => (Bounds { releases: true, ..MOMENT }, Violation::OldLease),
        Mutant::TakeoverUncounted => (no_finish, Violation::Endless),
        Mutant::TakeoverLeavesAttempt => (no_finish, Violation::AttemptMiscounted),
        Mutant::FailureUncounted | Mutant::FailureLeavesHistory => (one_worker, Violation::FailureMiscounted),
        Mutant::StartBelievesItem => (MOMENT, Violation::FalseStarted),
        Mutant::SettledByOwnLock | Mutant::FinishLeavesNoTrace => (one_worker, Violation::FalseLost),
        Mutant::StartTrustsIndex => {
            (Bounds { shares: true, starts: 2, ..one_worker }, Violation::UnreadyStarted)
        }
        Mutant::StartWithoutTime | Mutant::StartOrOwnLock => (one_worker, Violation::GrantedTwice),
        Mutant::RefusesOwnStart | Mutant::AlwaysUnknown | Mutant::SettledIsUnknown => {
            (one_worker, Violation::KnownButNotTold)
        }
        Mutant::PynamodbMate => (one_worker, Violation::Stuck),
        Mutant::SaveSuperseded => (Bounds { heartbeats: 1, saves: 1, ..one_worker }, Violation::FalseSaved),
        Mutant::OvertakenSaveIsLost => {
            (Bounds { heartbeats: 1, saves: 1, ..one_worker }, Violation::FalseLost)
        }
        Mutant::WritesGoByClock => (Bounds { clock_steps: 1, ..one_worker }, Violation::OldLease),
        Mutant::SaveWithoutTime => (Bounds { saves: 2, ..one_worker }, Violation::OldData),
        Mutant::RedriveUnpinned => {
            (Bounds { starts: 2, redrives: 1, ..one_worker }, Violation::ChangeMisapplied)
        }
        Mutant::RedriveSetsLockTimeBack => {
            (Bounds { redrives: 1, workers: 2, ..one_worker }, Violation::OldLease)
        }
        Mutant::CreateBelievesItem | Mutant::CreateComparesTimeAlone => {
            (Bounds { workers: 2, starts: 0, creates: 2, ..one_worker }, Violation::FalseCreated)
        }
        _ => return with_other_writers(mutant),
    })
}

/// Returns the same of the guards against operators, deletes, times that lie ahead, and Python.
fn with_other_writers(mutant: Mutant) -> Option<(Bounds, Violation)> {
    let one_worker = Bounds { workers: 1, starts: 1, ..MOMENT };
    let pair = Bounds { workers: 2, ..one_worker };
    Some(match mutant {
        Mutant::SaveWithoutLock => {
            let bounds = Bounds { heartbeats: 1, finishes: 1, python_starts: 1, ..pair };
            (bounds, Violation::ForeignWrite)
        }
        Mutant::CreateWithoutTraceIsOther => {
            (Bounds { creates: 1, python_saves: 1, ..pair }, Violation::FalseCreated)
        }
        Mutant::OldCreatesStay => (Bounds { deletes: 1, creates: 1, ..pair }, Violation::Revived),
        Mutant::OldStartsStay => (Bounds { deletes: 1, creates: 1, ..pair }, Violation::ForeignTask),
        Mutant::DeleteUnpinned => (Bounds { deletes: 1, ..pair }, Violation::HolderNotInTable),
        Mutant::RunNowLeavesLockTime => {
            (Bounds { run_at: 6, run_nows: 1, starts: 1, ..TAKEOVER }, Violation::LateStart)
        }
        Mutant::DeleteJudgesByOwnLease => {
            let bounds = Bounds { deletes: 1, long_leases: true, finishes: 0, starts: 1, ..TAKEOVER };
            (bounds, Violation::HolderNotInTable)
        }
        Mutant::DeleteWithoutTime => {
            let bounds = Bounds { deletes: 1, heartbeats: 2, finishes: 0, starts: 1, ..TAKEOVER };
            (bounds, Violation::HolderNotInTable)
        }
        Mutant::DeletePinsLockAlone => (Bounds { deletes: 1, ..pair }, Violation::LateDelete),
        Mutant::AskWithoutLock => (Bounds { cancels: 1, ..pair }, Violation::CancelMisdirected),
        Mutant::HeartbeatOverlooksCancel => {
            (Bounds { cancels: 1, heartbeats: 1, ..pair }, Violation::CancelForgotten)
        }
        Mutant::TakeoverOverlooksCancel | Mutant::TakeoverMissesCancel => {
            (Bounds { cancels: 1, finishes: 0, ..TAKEOVER }, Violation::CancelForgotten)
        }
        Mutant::CancelUnpinned => (Bounds { cancels: 1, ..pair }, Violation::ChangeMisapplied),
        Mutant::CancelSetsLockTimeBack => (Bounds { cancels: 1, ..pair }, Violation::OldLease),
        Mutant::StartBeforeDue => (Bounds { run_at: 1, ..one_worker }, Violation::StartedEarly),
        Mutant::StartExpectedBeforeDue => {
            (Bounds { run_at: 1, shares: true, ..one_worker }, Violation::StartedEarly)
        }
        Mutant::FinishKeepsRunAt => {
            (Bounds { run_at: 1, ticks: FIRST_TICK + 1, ..one_worker }, Violation::WaitMisset)
        }
        Mutant::FinishKeepsSnoozes => {
            let bounds = Bounds { waits: true, starts: 2, ticks: FIRST_TICK + 2, ..one_worker };
            (bounds, Violation::SnoozeMiscounted)
        }
        Mutant::TakeoverKeepsSnoozes => {
            let bounds = Bounds { waits: true, starts: 2, finishes: 1, hand_releases: 1, ..one_worker };
            (Bounds { ticks: FIRST_TICK + 7, ..bounds }, Violation::SnoozeMiscounted)
        }
        Mutant::SnoozeUncounted => (Bounds { waits: true, ..one_worker }, Violation::EndlessSnoozes),
        Mutant::RunNowUnpinned => {
            let bounds = Bounds { waits: true, run_at: 1, run_nows: 1, ticks: FIRST_TICK + 1, ..pair };
            (bounds, Violation::ChangeMisapplied)
        }
        Mutant::StartKeepsExpiry => {
            let bounds = Bounds { retention: true, two_steps: true, ..one_worker };
            (Bounds { starts: 2, ticks: FIRST_TICK + 2, ..bounds }, Violation::RemovedUnfinished)
        }
        Mutant::RedriveKeepsExpiry => {
            let bounds = Bounds { retention: true, cancels: 1, redrives: 1, starts: 0, ..one_worker };
            (Bounds { ticks: FIRST_TICK + 2, ..bounds }, Violation::RemovedUnfinished)
        }
        Mutant::ReplaceUnpinned => {
            let bounds = Bounds { retention: true, cancels: 1, redrives: 1, creates: 1, starts: 0, ..pair };
            (Bounds { ticks: FIRST_TICK + 3, ..bounds }, Violation::RemovedUnfinished)
        }
        Mutant::PythonTakenOver => {
            (Bounds { python_starts: 1, starts: 1, finishes: 0, ..TAKEOVER }, Violation::HolderNotInTable)
        }
        Mutant::StartWithoutStale => {
            (Bounds { python_starts: 1, python_resets: 1, ..pair }, Violation::Stuck)
        }
        Mutant::StartIgnoresLock => {
            (Bounds { python_resets: 1, starts: 2, workers: 3, ..one_worker }, Violation::HolderNotInTable)
        }
        Mutant::StartExpectedIgnoresLock => {
            let bounds = Bounds { python_resets: 1, starts: 2, shares: true, ..one_worker };
            (Bounds { workers: 3, ..bounds }, Violation::HolderNotInTable)
        }
        Mutant::StartJudgesByOwnLease => {
            let bounds = Bounds { python_resets: 1, long_leases: true, finishes: 0, ..TAKEOVER };
            (bounds, Violation::HolderNotInTable)
        }
        _ => return with_wrong_beliefs(mutant),
    })
}

/// Returns the same of the guards against what an image does not say.
fn with_wrong_beliefs(mutant: Mutant) -> Option<(Bounds, Violation)> {
    let one_worker = Bounds { workers: 1, starts: 1, ..MOMENT };
    let pair = Bounds { workers: 2, ..one_worker };
    Some(match mutant {
        Mutant::DeleteBelievesChange => (Bounds { deletes: 1, ..pair }, Violation::FalseDeleted),
        Mutant::AskBelievesRefusal | Mutant::CancelBelievesRefusal => {
            (Bounds { cancels: 1, ..pair }, Violation::FalseCancelled)
        }
        Mutant::RunNowBelievesDue => {
            (Bounds { run_at: 1, run_nows: 1, ticks: FIRST_TICK + 1, ..pair }, Violation::FalseMadeDue)
        }
        // A release by hand frees the task while the first answer is under way.
        Mutant::RequestsShareLock => {
            let bounds = Bounds { hand_releases: 1, starts: 2, finishes: 0, ..TAKEOVER };
            (Bounds { ticks: FIRST_TICK + 6, ..bounds }, Violation::GrantedTwice)
        }
        Mutant::ReleaseBelievesFree => {
            (Bounds { hand_releases: 1, starts: 2, ..TAKEOVER }, Violation::FalseReleased)
        }
        Mutant::RedriveBelievesTime => {
            let bounds = Bounds { retention: true, cancels: 1, redrives: 1, creates: 1, starts: 0, ..pair };
            (Bounds { ticks: FIRST_TICK + 3, ..bounds }, Violation::FalseRedriven)
        }
        Mutant::EarlierAttemptIsLost => (Bounds { python_saves: 1, ..pair }, Violation::FalseLost),
        Mutant::SameAttemptIsLost => {
            (Bounds { python_saves: 1, starts: 2, finishes: 1, ..MOMENT }, Violation::FalseLost)
        }
        Mutant::PythonIsSuccessor => {
            let bounds = Bounds { python_starts: 1, starts: 2, finishes: 2, waits: true, ..MOMENT };
            (bounds, Violation::FalseLost)
        }
        Mutant::FinishIgnoresCreateTime => {
            (Bounds { deletes: 1, creates: 1, starts: 2, finishes: 1, ..pair }, Violation::FalseLost)
        }
        Mutant::FinishLostIfGone => (Bounds { deletes: 1, ..pair }, Violation::FalseLost),
        _ => return None,
    })
}

#[test]
fn each_mutant_breaks_the_promise_of_its_guard() {
    let own = Mutant::ALL.into_iter().filter_map(|mutant| Some((mutant, counter_example(mutant)?)));
    let mut unbroken = VIOLATIONS.to_vec();
    // Mostly, a holder that the table does not name is seen first.
    let two_holders =
        find_longer(Mutant::DeadlineFromAnswer, Bounds { finishes: 0, ..TAKEOVER }, Violation::TwoHolders);
    unbroken.retain(|violation| *violation != Violation::TwoHolders);
    let mut wrong: Vec<_> = two_holders.err().into_iter().collect();
    for (mutant, (bounds, broken)) in own {
        wrong.extend(find(mutant, bounds, broken).err());
        unbroken.retain(|violation| *violation != broken);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(unbroken, [], "a promise that no mutant breaks may be one that the search does not check");
    let mut without = Mutant::ALL.into_iter().filter(|mutant| counter_example(*mutant).is_none());
    assert_eq!(without.next(), Some(Mutant::TakeoverPinsTimeAlone));
    assert_eq!(without.next(), Some(Mutant::StartKeepsCancel));
    assert_eq!(without.next(), None, "a mutant without a counter-example needs a wide search");
}

/// What the protocol does not promise: docs/protocol.md says why.
#[test]
fn known_counter_examples_exist() {
    let bounds = Bounds { python_starts: 1, starts: 1, finishes: 2, releases: true, ..MOMENT };
    let mutant = Mutant::OldStartsStay;
    assert_eq!(find(mutant, bounds, Violation::GrantedTwice), Ok(()), "a late start beside Python");
    let bounds = Bounds { python_starts: 1, python_resets: 1, finishes: 1, starts: 1, ..TAKEOVER };
    let found = find(Mutant::None, bounds, Violation::HolderNotInTable);
    assert_eq!(found, Ok(()), "a script that sets a held task back beside Python");
}
