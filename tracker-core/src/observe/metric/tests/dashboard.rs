//! A dashboard of Grafana, in its classic JSON, over Prometheus.

use serde_json::{Value, json};

use super::super::{
    BODY_DURATION, COUNTERS, GAUGE_READS, HEARTBEAT_LATENCY, OLDEST_TASK_AGE, TASKS, TASKS_CAPPED, UP, WAIT,
};
use crate::observe::EventKind;

const OF_STEP: &str = "use_case_id=~\"$use_case_id\", step=~\"$step\"";
/// The counters of a healthy step. The others are troubles.
const FLOW: [EventKind; 6] = [
    EventKind::Created,
    EventKind::Started,
    EventKind::Succeeded,
    EventKind::Snoozed,
    EventKind::Released,
    EventKind::Redriven,
];

/// A query, and what its lines are called.
struct Query(String, String);

/// The place of a panel: left, top, width and height. Grafana has 24 columns.
struct Place(u32, u32, u32, u32);

pub(super) fn json() -> String {
    let panels = [
        panel("stat", "Longest wait", "s", &Place(0, 0, 6, 8), waits()),
        panel("stat", "Gauges are read", "short", &Place(6, 0, 6, 8), reads()),
        panel("timeseries", "Tasks in each status", "short", &Place(12, 0, 12, 8), of_statuses(TASKS)),
        panel("timeseries", "Age of the oldest task", "s", &Place(0, 8, 12, 8), of_statuses(OLDEST_TASK_AGE)),
        panel("timeseries", "Longest wait over time", "s", &Place(12, 8, 12, 8), waits()),
        panel("timeseries", "Tasks a minute", "short", &Place(0, 16, 12, 8), rates(true)),
        panel("timeseries", "Troubles a minute", "short", &Place(12, 16, 12, 8), rates(false)),
        panel("timeseries", "Duration of an attempt", "s", &Place(0, 24, 12, 8), quantiles(BODY_DURATION)),
        panel(
            "timeseries",
            "Latency of a heartbeat",
            "s",
            &Place(12, 24, 12, 8),
            quantiles(HEARTBEAT_LATENCY),
        ),
    ];
    let numbered = (1..).zip(panels).map(|(id, mut panel)| {
        panel["id"] = json!(id);
        panel
    });
    // A metric that each program has as soon as it has built a tracker.
    let always = COUNTERS[0].1;
    let source =
        json!({ "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" });
    let steps = format!("label_values({always}{{use_case_id=~\"$use_case_id\"}}, step)");
    let dashboard = json!({
        "uid": "tracker",
        "title": "Tasks",
        "description": "Made of the names of the metrics by a test of tracker-core.",
        "tags": ["tracker"],
        "schemaVersion": 41,
        "editable": true,
        "refresh": "1m",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            source,
            variable("use_case_id", "Use case", &format!("label_values({always}, use_case_id)")),
            variable("step", "Step", &steps),
        ] },
        "panels": numbered.collect::<Vec<_>>(),
    });
    format!("{dashboard:#}\n")
}

fn gauge(name: &str, by: &str) -> String {
    format!("max by (use_case_id, step{by}) ({name}{{{OF_STEP}}})")
}

fn waits() -> Vec<Query> {
    vec![Query(gauge(WAIT, ""), "{{use_case_id}} {{step}}".to_owned())]
}

fn reads() -> Vec<Query> {
    let capped = format!("max({TASKS_CAPPED}{{{OF_STEP}}})");
    vec![
        Query(gauge(UP, ""), "{{use_case_id}} {{step}}".to_owned()),
        Query(format!("sum(increase({GAUGE_READS}{{{OF_STEP}}}[10m]))"), "reads in 10 minutes".to_owned()),
        Query(capped, "counts are capped".to_owned()),
    ]
}

fn of_statuses(name: &str) -> Vec<Query> {
    vec![Query(gauge(name, ", status"), "{{step}} {{status}}".to_owned())]
}

/// Returns the rates of a healthy step, or of troubles.
fn rates(is_flow: bool) -> Vec<Query> {
    let shown = COUNTERS.iter().filter(|(kind, ..)| FLOW.contains(kind) == is_flow);
    let queries = shown.map(|(kind, name, _)| {
        let rate = format!("sum(rate({name}{{{OF_STEP}}}[$__rate_interval])) * 60");
        Query(rate, kind.name().to_owned())
    });
    queries.collect()
}

fn quantiles(name: &str) -> Vec<Query> {
    let buckets = format!("sum by (le) (rate({name}_bucket{{{OF_STEP}}}[$__rate_interval]))");
    let quantile =
        |percent| Query(format!("histogram_quantile(0.{percent}, {buckets})"), format!("p{percent}"));
    [50, 95, 99].map(quantile).into()
}

fn panel(kind: &str, title: &str, unit: &str, at: &Place, queries: Vec<Query>) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let Place(x, y, width, height) = at;
    let targets = (b'A'..).zip(queries).map(|(letter, Query(expression, legend))| {
        json!({
            "refId": char::from(letter).to_string(),
            "datasource": source,
            "expr": expression,
            "legendFormat": legend,
        })
    });
    json!({
        "type": kind,
        "title": title,
        "datasource": source,
        "gridPos": { "x": x, "y": y, "w": width, "h": height },
        "fieldConfig": { "defaults": { "unit": unit, "min": 0 }, "overrides": [] },
        "targets": targets.collect::<Vec<_>>(),
    })
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "query": { "query": query, "refId": name },
        "refresh": 2,
        "includeAll": true,
        "multi": true,
        "current": { "text": ["All"], "value": ["$__all"] },
    })
}

#[test]
fn panels_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&json()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut seen = std::collections::HashSet::new();
    for panel in panels {
        let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (x, y) = (of("x"), of("y"));
        assert!(x + of("w") <= 24, "{panel}");
        for column in x..x + of("w") {
            assert!((y..y + of("h")).all(|row| seen.insert((column, row))), "{panel}");
        }
    }
    assert_eq!(seen.len(), 24 * 32, "there are no gaps");
}
