//! Compares a declaration with the description that a table keeps, and joins the two.

use super::{Description, StatusDescription, StepDescription};
use crate::declare::spec::Takeover;
use crate::declare::status::Role;

/// What a comparison has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Why the declaration cannot be used with the stored tasks.
    pub(crate) differences: Vec<String>,
    /// What may make tasks invisible, and is no error.
    pub(crate) warnings: Vec<String>,
}

/// How the shards of a declaration are joined with those that are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    /// Another program may have declared the described shards, and still run.
    Least,
    /// All programs have these shards now. A person says so.
    Replace,
}

/// Compares the separator and the statuses of a step with the stored description. The step reads at least `read_shards`.
pub(crate) fn compare(stored: &Description, own: &Description, step: &str, read_shards: u32) -> Comparison {
    let mut found = Comparison::default();
    if stored.sep != own.sep {
        let (was, is) = (&stored.sep, &own.sep);
        found.differences.push(format!("the separator was `{was}`, and is `{is}` now"));
    }
    if stored.layout != own.layout {
        found.differences.push(format!("the layout was {}, and is {} now", stored.layout, own.layout));
    }
    let Some(own) = own.steps.get(step) else { return found };
    let name = &own.status_type;
    for described in stored.steps.values() {
        let of = &described.status_type;
        // All steps of a use case have the same digits, also those that are declared no more.
        if (described.code_pad, described.shard_pad) != (own.code_pad, own.shard_pad) {
            found.differences.push(format!(
                "`{of}` had {} digits for a code and {} for a shard, and `{name}` has {} and {} now",
                described.code_pad, described.shard_pad, own.code_pad, own.shard_pad
            ));
        }
        for was in &described.statuses {
            match own.status(was.code) {
                Some(is) if meaning(is.role) != meaning(was.role) => found.differences.push(format!(
                    "code {} was `{of}::{}`, {}, and is `{name}::{}`, {}, now",
                    was.code, was.name, was.role, is.name, is.role
                )),
                _ => {}
            }
        }
    }
    let Some(described) = stored.steps.get(step) else { return found };
    for was in &described.statuses {
        let Some(is) = own.status(was.code) else {
            let moved = own.statuses.iter().find(|is| is.role == was.role);
            match moved.filter(|_| was.role != Role::MorePending) {
                Some(is) => found.differences.push(format!(
                    "`{name}::{}`, {}, had the code {}, and `{}` has the code {} now",
                    was.name, was.role, was.code, is.name, is.code
                )),
                None => found.warnings.push(format!(
                    "`{name}` no longer has the code {} of `{}`; tasks in it are not found any more",
                    was.code, was.name
                )),
            }
            continue;
        };
        if is.shards.max(read_shards) < was.most_shards {
            found.warnings.push(format!(
                "`{name}::{}` had {} shards, and has {} now; tasks in the other shards are not found: set `read_shards`",
                was.name, was.most_shards, is.shards
            ));
        }
    }
    found
}

/// Returns the description with which an operator works, and why nothing may be written by it, if so.
///
/// A redriven task must be visible to every program of the table, so it is written to no more shards than each of them reads.
/// Without a description in the table that is one shard. Tasks are looked for in all shards that anybody has declared.
pub(crate) fn for_operator(stored: Option<&Description>, given: &Description) -> (Description, Vec<String>) {
    let (mut effective, mut reasons) = (given.clone(), Vec::new());
    for (name, is) in &mut effective.steps {
        let was = stored.and_then(|stored| stored.steps.get(name));
        for status in &mut is.statuses {
            let described = was.and_then(|was| was.status(status.code));
            status.shards = described.map_or(1, |was| was.shards.min(status.shards));
            status.most_shards = described.map_or(0, |was| was.most_shards).max(status.most_shards);
            if was.is_some() && described.is_none() {
                let StatusDescription { code, name, .. } = status;
                reasons.push(format!("the table has no code {code} for `{}::{name}`", is.status_type));
            }
        }
        let Some(stored) = stored else { continue };
        reasons.extend(compare(stored, given, name, 1).differences);
        if was.is_none() {
            reasons.push(format!("the table has no step `{name}`"));
        }
    }
    reasons.dedup();
    (effective, reasons)
}

/// Returns what a role means for the tasks that are stored with its code. All roles that can be started mean the same: tasks may
/// be moved between their codes.
fn meaning(role: Role) -> Role {
    if role.is_ready() { Role::Pending } else { role }
}

/// Adds a declaration to a description. What it no longer declares stays, because tasks may still have it. The steps before
/// `step` are added if they are not described, because their own programs know them better.
pub(crate) fn joined(stored: &Description, own: &Description, step: &str, join: Join) -> Description {
    let mut joined = stored.clone();
    joined.index.clone_from(&own.index);
    joined.wire = own.wire;
    joined.layout.clone_from(&own.layout);
    for (name, is) in &own.steps {
        let described = joined.steps.get(name);
        let is = match described {
            None => is.clone(),
            Some(_) if name != step => continue,
            Some(was) if join == Join::Replace => {
                StepDescription { statuses: joined_statuses(was, is, join), ..is.clone() }
            }
            // What is safe for the programs of both.
            Some(was) => StepDescription {
                statuses: joined_statuses(was, is, join),
                takeover: if was.takeover == Takeover::Never { was.takeover } else { is.takeover },
                lease_ms: was.lease_ms.max(is.lease_ms),
                max_clock_skew_ms: was.max_clock_skew_ms.max(is.max_clock_skew_ms),
                max_retry: was.max_retry.max(is.max_retry),
                ..is.clone()
            },
        };
        joined.steps.insert(name.clone(), is);
    }
    joined
}

/// Lowers the shards of a step to those that its declaration reads: at least `read_shards`.
pub(crate) fn lowered(stored: &Description, own: &Description, step: &str, read_shards: u32) -> Description {
    let mut lowered = stored.clone();
    let statuses = lowered.steps.get_mut(step).map(|step| &mut step.statuses);
    for status in statuses.into_iter().flatten() {
        if let Some(is) = own.steps.get(step).and_then(|own| own.status(status.code)) {
            status.shards = status.shards.min(is.shards.max(read_shards));
        }
    }
    lowered
}

fn joined_statuses(was: &StepDescription, is: &StepDescription, join: Join) -> Vec<StatusDescription> {
    let own = is.statuses.iter().map(|is| match was.status(is.code) {
        None => is.clone(),
        Some(was) => StatusDescription {
            shards: if join == Join::Replace { is.shards } else { is.shards.min(was.shards) },
            most_shards: is.most_shards.max(was.most_shards),
            ..is.clone()
        },
    });
    let former = was.statuses.iter().filter(|was| is.status(was.code).is_none()).cloned();
    let mut statuses: Vec<_> = own.chain(former).collect();
    statuses.sort_by_key(|status| status.code);
    statuses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declare::spec::{TrackerSpec, spec};
    use crate::declare::status::{StatusRow, StatusTable};

    fn statuses(rows: &[(u32, &str, Role, u32)]) -> Vec<StatusDescription> {
        let status = |(code, name, role, shards): &(u32, &str, Role, u32)| StatusDescription {
            code: *code,
            name: (*name).to_owned(),
            role: *role,
            shards: *shards,
            most_shards: *shards,
        };
        rows.iter().map(status).collect()
    }

    /// Returns a description of one step with these statuses.
    fn with(rows: &[(u32, &str, Role, u32)]) -> Description {
        static NO_ROWS: [StatusRow; 0] = [];
        static TABLE: StatusTable =
            StatusTable { type_name: "Status", rows: &NO_ROWS, code_pad: 3, shard_pad: 3 };
        static SPEC: TrackerSpec = spec("Step", "use-case", &TABLE);
        let mut description = Description::declared(&SPEC);
        step(&mut description).statuses = statuses(rows);
        description
    }

    fn step(description: &mut Description) -> &mut StepDescription {
        description.steps.get_mut("Step").unwrap()
    }

    const DECLARED: [(u32, &str, Role, u32); 4] = [
        (10, "Pending", Role::Pending, 5),
        (14, "Failed", Role::Failed, 5),
        (16, "Done", Role::Succeeded, 1),
        (17, "Paused", Role::MorePending, 1),
    ];

    fn compared(rows: &[(u32, &str, Role, u32)]) -> Comparison {
        compare(&with(&DECLARED), &with(rows), "Step", 1)
    }

    #[test]
    fn what_was_declared_before_has_no_differences() {
        assert_eq!(compared(&DECLARED), Comparison::default());
    }

    #[test]
    fn code_with_another_role_is_named_with_both_statuses() {
        let mut own = DECLARED;
        own[1] = (14, "Done", Role::Succeeded, 1);
        own[2] = (16, "Failed", Role::Failed, 5);
        assert_eq!(
            compared(&own).differences,
            [
                "code 14 was `Status::Failed`, failed, and is `Status::Done`, succeeded, now",
                "code 16 was `Status::Done`, succeeded, and is `Status::Failed`, failed, now",
            ]
        );
    }

    #[test]
    fn role_with_another_code_is_named_with_both_codes() {
        let mut own = DECLARED;
        own[1].0 = 15;
        assert_eq!(
            compared(&own).differences,
            ["`Status::Failed`, failed, had the code 14, and `Failed` has the code 15 now"]
        );
    }

    /// The pages describe how to give a waiting status another code, by way of `more_pending`.
    #[test]
    fn code_may_move_between_roles_that_can_be_started() {
        let mut own = DECLARED;
        own[1] = (14, "Old", Role::MorePending, 5);
        own[3] = (17, "Failed", Role::Failed, 5);
        assert_eq!(compared(&own), Comparison::default());
    }

    #[test]
    fn fewer_shards_and_a_missing_more_pending_status_are_warnings() {
        let mut own = DECLARED;
        own[0].3 = 4;
        let found = compared(&own[..3]);
        assert_eq!((found.differences.len(), found.warnings.len()), (0, 2), "{found:?}");
    }

    #[test]
    fn other_digits_are_a_difference() {
        let mut own = with(&DECLARED);
        step(&mut own).code_pad = 4;
        assert_eq!(compare(&with(&DECLARED), &own, "Step", 1).differences.len(), 1);
        let renamed = own.steps.remove("Step").unwrap();
        own.steps.insert("Renamed".to_owned(), renamed);
        assert_eq!(compare(&with(&DECLARED), &own, "Renamed", 1).differences.len(), 1);
    }

    #[test]
    fn another_separator_is_a_difference_and_the_first_one_stays() {
        let stored = Description { sep: "##".to_owned(), ..with(&DECLARED) };
        let own = with(&DECLARED);
        assert_eq!(joined(&stored, &own, "Step", Join::Least).sep, "##");
        assert_eq!(compare(&stored, &stored, "Step", 1), Comparison::default());
        let differences = compare(&stored, &own, "Next", 1).differences;
        assert_eq!(differences, ["the separator was `##`, and is `____` now"]);
    }

    fn shards(description: &Description) -> Vec<(u32, u32, u32)> {
        let statuses = description.steps["Step"].statuses.iter();
        statuses.map(|status| (status.code, status.shards, status.most_shards)).collect()
    }

    #[test]
    fn tasks_are_written_to_the_least_shards_and_nothing_is_forgotten() {
        let own = with(&[
            (10, "Pending", Role::Pending, 9),
            (14, "Failed", Role::Failed, 2),
            (18, "Ignored", Role::Ignored, 1),
        ]);
        let after = joined(&with(&DECLARED), &own, "Step", Join::Least);
        assert_eq!(shards(&after), [(10, 5, 9), (14, 2, 5), (16, 1, 1), (17, 1, 1), (18, 1, 1)]);
        let replaced = joined(&after, &own, "Step", Join::Replace);
        assert_eq!(shards(&replaced), [(10, 9, 9), (14, 2, 5), (16, 1, 1), (17, 1, 1), (18, 1, 1)]);
    }

    #[test]
    fn description_of_another_program_stays_if_only_a_later_step_names_the_step() {
        let mut own = with(&[(10, "Pending", Role::Pending, 1)]);
        let step = own.steps["Step"].clone();
        own.steps.insert("Next".to_owned(), step);
        let after = joined(&with(&DECLARED), &own, "Next", Join::Least);
        assert_eq!(after.steps["Step"], with(&DECLARED).steps["Step"]);
        assert_eq!(after.steps.len(), 2);
    }

    #[test]
    fn operator_writes_to_shards_that_every_program_reads() {
        let (mut stored, mut own) = (with(&DECLARED), DECLARED);
        let (same, reasons) = for_operator(Some(&stored), &with(&own));
        assert_eq!((same, reasons), (with(&DECLARED), Vec::new()));
        step(&mut stored).statuses[0].shards = 3;
        own[0].3 = 7;
        let (wider, reasons) = for_operator(Some(&stored), &with(&own));
        assert_eq!((shards(&wider)[0], reasons), ((10, 3, 7), Vec::new()));
        let (alone, reasons) = for_operator(None, &with(&own));
        assert_eq!((shards(&alone)[0], reasons), ((10, 1, 7), Vec::new()));
    }

    #[test]
    fn operator_writes_nothing_by_other_codes() {
        let mut own = DECLARED;
        own[0].0 = 11;
        let (_, reasons) = for_operator(Some(&with(&DECLARED)), &with(&own));
        assert_eq!(
            reasons,
            [
                "`Status::Pending`, pending, had the code 10, and `Pending` has the code 11 now",
                "the table has no code 11 for `Status::Pending`",
            ]
            .iter()
            .rev()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
        );
    }
}
