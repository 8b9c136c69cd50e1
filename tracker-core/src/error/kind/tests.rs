//! The page of errors has each kind, with its advice.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::error::{Advice, Error};
use crate::fuzzing::sample::{SampleStatus, head};

/// The names that begin the lines with this indentation and prefix, up to the first other character.
fn names<'t>(text: &'t str, prefix: &str, suffixes: &[char]) -> BTreeSet<&'t str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(prefix));
    let is_name = |name: &&str| {
        name.starts_with(|letter: char| letter.is_ascii_uppercase())
            && name.chars().all(char::is_alphanumeric)
    };
    lines.filter_map(|line| line.split_once(suffixes).map(|(name, _)| name)).filter(is_name).collect()
}

#[test]
fn errors_page_has_a_row_for_each_kind() {
    let source = include_str!("../kind.rs");
    let declaration = source.split_once("pub enum ErrorKind {").unwrap().1.split_once("\n}\n").unwrap().0;
    let kinds = names(declaration, "    ", &[',', ' ']);
    assert!(kinds.contains("NotFound") && kinds.contains("Locked") && kinds.len() > 20, "{kinds:?}");
    let rows = names(include_str!("../../../../docs/errors.md"), "| `", &['`']);
    assert_eq!(rows, kinds);
}

/// One error of each kind, and several of a kind whose advice depends on its fields.
fn samples() -> Vec<Error> {
    let now = DateTime::UNIX_EPOCH;
    let not_ready = |cause| ErrorKind::NotReady { status: "Pending".to_owned(), cause };
    let text = || "why".to_owned();
    [
        ErrorKind::NotFound,
        ErrorKind::Locked { by_this_tracker: false, owner: None, until: now },
        ErrorKind::ClockBehind { by: Duration::ZERO },
        ErrorKind::AlreadySucceeded,
        ErrorKind::Ignored,
        not_ready(NotReadyCause::EarlierStep),
        not_ready(NotReadyCause::LaterStep),
        not_ready(NotReadyCause::UnknownCode),
        not_ready(NotReadyCause::ChangedElsewhere),
        not_ready(NotReadyCause::Pending),
        not_ready(NotReadyCause::NotDue),
        ErrorKind::NotDue { run_at: now },
        ErrorKind::Contended,
        ErrorKind::ClockOff { offset: TimeDelta::zero() },
        ErrorKind::AlreadyExists,
        ErrorKind::LeaseLost,
        ErrorKind::OutcomeUnknown,
        ErrorKind::BodyFailed { ignored: false },
        ErrorKind::BodyFailed { ignored: true },
        ErrorKind::Snoozed { until: now },
        ErrorKind::Cancelled,
        ErrorKind::DeadlinePassed,
        ErrorKind::InvalidTaskId { reason: text() },
        ErrorKind::InvalidConfig { reason: text() },
        ErrorKind::NotDescribed { reason: text() },
        ErrorKind::ReadOnly { reasons: vec![text()] },
        ErrorKind::InvalidQuery { reason: text() },
        ErrorKind::InvalidCursor { reason: text() },
        ErrorKind::ItemTooLarge,
        ErrorKind::InvalidEffects,
        ErrorKind::TransactionConflict,
        ErrorKind::EffectRefused { nth: 0, table: text() },
        ErrorKind::Encode { attribute: text() },
        ErrorKind::NotATask { reason: text() },
        ErrorKind::Decode { attribute: text() },
        ErrorKind::TableNotFound { table: text() },
        ErrorKind::TableMismatch { table: text(), differences: Vec::new() },
        ErrorKind::Throttled { reasons: Vec::new() },
        ErrorKind::Unavailable,
        ErrorKind::Service { code: Some("AccessDeniedException".to_owned()) },
        ErrorKind::Service { code: Some("TransactionConflictException".to_owned()) },
        ErrorKind::NotSent,
    ]
    .into_iter()
    .map(Error::new)
    .chain([
        Error::new(ErrorKind::EffectRefused { nth: 0, table: text() }).with_task(head(SampleStatus::Failed)),
        Error::new(ErrorKind::TransactionConflict).with_task(head(SampleStatus::Ignored)),
    ])
    .chain([Error::new(ErrorKind::NotSent)
        .with_source(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))])
    .collect()
}

#[test]
fn errors_page_has_the_advice_of_each_kind() {
    let mut advised: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for error in samples() {
        let name: String =
            format!("{:?}", error.kind()).chars().take_while(|c| c.is_alphanumeric()).collect();
        advised.entry(name).or_default().insert(match error.advice() {
            Advice::Done => "Done",
            Advice::RetryLater { .. } => "RetryLater",
            Advice::Fix => "Fix",
        });
    }
    let page = include_str!("../../../../docs/errors.md");
    let rows = page.lines().filter_map(|line| {
        let (name, cells) = line.strip_prefix("| `")?.split_once("` | ")?;
        let advice = cells.split(" | ").next()?;
        let words = advice.split(", ").map(|word| word.trim_matches('`'));
        Some((name.to_owned(), words.collect::<BTreeSet<_>>()))
    });
    let rows: BTreeMap<_, _> = rows.filter(|(name, _)| advised.contains_key(name)).collect();
    assert_eq!(rows, advised);
}
