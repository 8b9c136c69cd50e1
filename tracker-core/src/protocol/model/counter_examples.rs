//! The search finds what each guard is for.

use stateright::{Checker, HasDiscoveries, Model};

use super::bounds::{Bounds, FIRST_TICK};
use super::mutant::Mutant;
use super::tests::{MOMENT, TAKEOVER, described};
use super::violation::Violation;
use super::{PROMISES, Protocol};

/// Finds a counter-example that breaks a promise, and prints its length. Returns what else is broken if there is none.
fn find(mutant: Mutant, bounds: Bounds, broken: Violation) -> Result<(), String> {
    let promise = PROMISES.iter().find(|(_, violation)| *violation == broken).expect("a promise").0;
    let until = HasDiscoveries::AllOf([promise].into());
    let protocol = Protocol { bounds, mutant };
    let checker = protocol.checker().threads(1).finish_when(until).spawn_bfs().join();
    let states = checker.unique_state_count();
    let mut found = checker.discoveries();
    if let Some(path) = found.remove(promise) {
        println!("{mutant:?}: {broken:?} in {} steps, {states} states", path.into_actions().len());
        return Ok(());
    }
    let others = found.into_values().filter(|path| path.last_state().ghost.violation.is_some());
    let others: String = others.map(described).collect();
    Err(format!("{mutant:?}: no counter-example to \"{promise}\" in {states} states\n{others}"))
}

/// Returns bounds that are just wide enough for a mutant, and the promise that it breaks.
fn counter_example(mutant: Mutant) -> Option<(Bounds, Violation)> {
    let one_worker = Bounds { workers: 1, starts: 1, ..MOMENT };
    Some(match mutant {
        // Only a second heartbeat lengthens the lease beyond the time at which the first lease looks expired.
        Mutant::DeadlineFromLastSend | Mutant::TakeoverPinsLockAlone => {
            (Bounds { heartbeats: 2, finishes: 0, ..TAKEOVER }, Violation::HolderNotInTable)
        }
        Mutant::MonotonicOnly | Mutant::WallOnly => {
            (Bounds { wild_clocks: 1, ..TAKEOVER }, Violation::HolderNotInTable)
        }
        Mutant::DeadlineFromAnswer | Mutant::TakeoverWithoutSkew => (TAKEOVER, Violation::HolderNotInTable),
        Mutant::FinishLeavesLockTime => (TAKEOVER, Violation::LateStart),
        Mutant::FinishWithoutLock => (TAKEOVER, Violation::TwoFinishes),
        Mutant::DoneWithinDeadline => (Bounds { clocks_far_apart: true, ..TAKEOVER }, Violation::FalseDone),
        Mutant::TakeoverLeavesNoTrace => (TAKEOVER, Violation::FalseDone),
        Mutant::JudgedByOwnLease => (Bounds { long_leases: true, ..TAKEOVER }, Violation::HolderNotInTable),
        Mutant::FinishKeepsLosses => (TAKEOVER, Violation::LossMiscounted),
        Mutant::TransactionWithoutLock | Mutant::EffectApart | Mutant::EffectLeftOut => {
            (Bounds { effects: true, ..one_worker }, Violation::EffectMiscounted)
        }
        Mutant::FailureBelievesItself => {
            (Bounds { effects: true, effect_turns: 2, ..one_worker }, Violation::FalseDone)
        }
        Mutant::ReleasesAnyAttempt => (Bounds { releases: true, ..MOMENT }, Violation::HolderNotInTable),
        Mutant::TakeoverUncounted => (TAKEOVER, Violation::Endless),
        Mutant::TakeoverLeavesAttempt => (TAKEOVER, Violation::AttemptMiscounted),
        Mutant::FailureUncounted => (one_worker, Violation::FailureMiscounted),
        Mutant::StartBelievesItem => (MOMENT, Violation::FalseStarted),
        Mutant::SettledByOwnLock | Mutant::FinishLeavesNoTrace => (one_worker, Violation::FalseLost),
        Mutant::StartTrustsIndex => {
            (Bounds { shares: true, starts: 2, ..one_worker }, Violation::UnreadyStarted)
        }
        Mutant::StartWithoutTime | Mutant::StartOrOwnLock => (one_worker, Violation::StartedTwice),
        Mutant::RefusesOwnStart | Mutant::AlwaysUnknown => (one_worker, Violation::KnownButNotTold),
        Mutant::PynamodbMate => (one_worker, Violation::Stuck),
        Mutant::SaveSuperseded => (Bounds { heartbeats: 1, saves: 1, ..one_worker }, Violation::FalseSaved),
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
        Mutant::SameAttemptIsLost => {
            (Bounds { python_saves: 1, starts: 2, finishes: 1, ..MOMENT }, Violation::FalseLost)
        }
        Mutant::PythonIsSuccessor => {
            let bounds = Bounds { python_starts: 1, starts: 2, finishes: 2, waits: true, ..MOMENT };
            (bounds, Violation::FalseLost)
        }
        Mutant::RedriveBelievesTime => {
            let bounds = Bounds { retention: true, cancels: 1, redrives: 1, creates: 1, starts: 0, ..pair };
            (Bounds { ticks: FIRST_TICK + 4, ..bounds }, Violation::FalseRedriven)
        }
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
        Mutant::DeleteBelievesChange => (Bounds { deletes: 1, ..pair }, Violation::FalseDeleted),
        Mutant::AskBelievesRefusal => (Bounds { cancels: 1, ..pair }, Violation::FalseCancelled),
        Mutant::RunNowBelievesDue => {
            (Bounds { run_at: 1, run_nows: 1, ticks: FIRST_TICK + 1, ..pair }, Violation::FalseMadeDue)
        }
        Mutant::ReleaseBelievesFree => {
            (Bounds { hand_releases: 1, starts: 2, ..TAKEOVER }, Violation::FalseReleased)
        }
        Mutant::FinishIgnoresCreateTime => {
            (Bounds { deletes: 1, creates: 1, starts: 2, finishes: 1, ..pair }, Violation::FalseLost)
        }
        Mutant::FinishLostIfGone => (Bounds { deletes: 1, ..pair }, Violation::FalseLost),
        Mutant::AskWithoutLock => (Bounds { cancels: 1, ..pair }, Violation::CancelMisdirected),
        Mutant::HeartbeatOverlooksCancel => {
            (Bounds { cancels: 1, heartbeats: 1, ..pair }, Violation::CancelForgotten)
        }
        Mutant::TakeoverOverlooksCancel => {
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
            (Bounds { ticks: FIRST_TICK + 4, ..bounds }, Violation::RemovedUnfinished)
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
        Mutant::EarlierAttemptIsLost => (Bounds { python_saves: 1, ..pair }, Violation::FalseLost),
        _ => return None,
    })
}

#[test]
fn each_mutant_breaks_the_promise_of_its_guard() {
    let own = Mutant::ALL.into_iter().filter_map(|mutant| Some((mutant, counter_example(mutant)?)));
    // The holder that the table does not name is mostly seen first.
    let two_holders = (Mutant::DeadlineFromAnswer, (TAKEOVER, Violation::TwoHolders));
    let mut unbroken: Vec<_> = PROMISES.iter().map(|(_, violation)| *violation).collect();
    let mut wrong = Vec::new();
    for (mutant, (bounds, broken)) in own.chain([two_holders]) {
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
    assert_eq!(find(mutant, bounds, Violation::StartedTwice), Ok(()), "a late start beside Python");
}
