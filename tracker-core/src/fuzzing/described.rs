//! Builds the texts of descriptions from any bytes: as they should be, and with wrong values.

use serde_json::{Map, Value, json};

use super::key::SEPARATORS;
use super::source::Source;
use super::statement::layout;

/// Returns the text of a description: as it should be, with a few wrong values, or any JSON.
pub(super) fn text(source: &mut Source<'_>) -> String {
    let mut description = description(source);
    for _ in 0..[0, 0, 0, 1, 1, 3][source.below(6)] {
        damage(&mut description, source);
    }
    match source.below(16) {
        0 => source.json(),
        1 => source.mutated(&description.to_string()),
        _ => description.to_string(),
    }
}

/// Returns a description of up to three steps.
fn description(source: &mut Source<'_>) -> Value {
    let mut steps = Map::new();
    let mut before = None;
    for (name, base) in [("Extract", 10), ("Translate", 30), ("Index", 50)] {
        // Seldom with a code that means something else to another step.
        let base = if source.below(12) == 0 { 12 } else { base };
        steps.insert(name.to_owned(), step(base, before, source));
        before = source.flag().then_some(name);
        if source.below(3) == 0 {
            break;
        }
    }
    let layout = if source.below(3) == 0 { json!(layout(source, &[])) } else { json!({}) };
    let sep = if source.below(3) == 0 { source.pick(&SEPARATORS) } else { "____" };
    let use_case_id = if source.below(8) == 0 { source.text() } else { "extract".to_owned() };
    json!({
        "v": 1,
        "use_case_id": use_case_id,
        "sep": sep,
        "index": "status_and_update_time-index",
        "layout": layout,
        "wire": source.pick(&["native", "pynamodb"]),
        "steps": steps,
    })
}

/// Returns the description of a step, whose codes begin with `base`.
fn step(base: usize, after: Option<&str>, source: &mut Source<'_>) -> Value {
    let mut statuses = Vec::new();
    for (nth, role) in ["pending", "in_progress", "failed", "succeeded", "ignored"].into_iter().enumerate() {
        let (shards, more) = (1 + source.below(4), source.below(3));
        // Seldom another code than that of the other description.
        let code = base + 2 * nth + usize::from(source.below(24) == 0);
        statuses.push(json!({
            "code": code, "name": role, "role": role, "shards": shards, "most_shards": shards + more,
        }));
    }
    let digits = if source.below(12) == 0 { 4 } else { 3 };
    let takeover = source.pick(&["expired", "never"]);
    let mut number = |usual: u64| if source.below(12) == 0 { u64::from(source.u32()) } else { usual };
    json!({
        "status_type": "Status",
        "code_pad": digits,
        "shard_pad": 3,
        "statuses": statuses,
        "after": after,
        "lease_ms": number(300_000),
        "max_clock_skew_ms": number(5_000),
        "max_retry": number(3),
        "backoff_base_seconds": number(15),
        "backoff_max_seconds": number(900),
        "max_snoozes": number(100),
        "retain_seconds": number(60),
        "history_limit": number(10),
        "takeover": takeover,
        "task_id": "id",
        "fields": [{ "name": "pages", "stored": "n", "attribute": false }],
    })
}

/// Replaces, adds or removes a value at any depth.
fn damage(value: &mut Value, source: &mut Source<'_>) {
    let (is_deeper, change) = (source.below(8) > 0, source.below(8));
    match value {
        Value::Object(members) if is_deeper && !members.is_empty() => {
            let name = members.keys().nth(source.below(members.len())).cloned().unwrap_or_default();
            match change {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert(source.text(), other(source))),
                _ => {
                    if let Some(member) = members.get_mut(&name) {
                        damage(member, source);
                    }
                }
            }
        }
        Value::Array(elements) if is_deeper && !elements.is_empty() => {
            let nth = source.below(elements.len());
            match change {
                0 => drop(elements.remove(nth)),
                1 => elements.push(elements[nth].clone()),
                _ => damage(&mut elements[nth], source),
            }
        }
        _ => *value = other(source),
    }
}

/// Returns a value that may be wrong.
fn other(source: &mut Source<'_>) -> Value {
    const WORDS: [&str; 10] = [
        "pending",
        "more_pending",
        "succeeded",
        "ignored",
        "native",
        "pynamodb",
        "expired",
        "never",
        "Extract",
        "3",
    ];
    const NUMBERS: [u64; 10] = [0, 1, 3, 9, 10, 255, 1000, 1001, 4_294_967_295, u64::MAX];
    match source.below(5) {
        0 => source.text().into(),
        1 => source.pick(&WORDS).into(),
        2 => NUMBERS[source.below(NUMBERS.len())].into(),
        3 => source.u32().into(),
        _ => [Value::Null, json!(true), json!(-1), json!(1.5), json!([]), json!({})][source.below(6)].clone(),
    }
}
