//! Compares the files of docs/monitoring, and the tables of the docs, with the metrics. `UPDATE_EXPECT=1` updates the files.

mod alarm;
mod dashboard;

use std::path::Path;

use super::*;

/// Returns the names of all metrics.
fn names() -> Vec<&'static str> {
    let counters = COUNTERS.iter().map(|(_, name, _)| *name);
    let histograms = HISTOGRAMS.iter().map(|(name, _)| *name);
    counters.chain([GAUGE_READS]).chain(histograms).chain(GAUGES.iter().map(|(name, ..)| *name)).collect()
}

/// Compares a file of docs/monitoring with what it should be.
fn compare(name: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == made,
        "docs/monitoring/{name} is not up to date; set UPDATE_EXPECT=1 and read the diff"
    );
}

/// Returns the names of metrics in a text, without the endings that Prometheus adds to those of a histogram.
fn names_in(text: &str) -> Vec<&str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let words = words.filter(|word| word.starts_with("tracker_") && *word != "tracker_core");
    let mut names: Vec<_> = words.map(|word| word.strip_suffix("_bucket").unwrap_or(word)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn sorted_names() -> Vec<&'static str> {
    let mut names = names();
    names.sort_unstable();
    names
}

#[test]
fn each_kind_of_event_has_a_counter_of_its_name() {
    for (kind, name, _) in COUNTERS {
        assert_eq!(name, format!("tracker_{}_total", kind.name()));
    }
}

#[test]
fn dashboard_shows_each_metric() {
    let dashboard = dashboard::json();
    assert_eq!(names_in(&dashboard), sorted_names());
    compare("dashboard.json", &dashboard);
}

#[test]
fn alarms_watch_metrics_that_exist() {
    for (file, text) in [("alarms.yaml", alarm::cloudformation()), ("alerts.yaml", alarm::prometheus())] {
        let watched = names_in(&text);
        assert!(watched.len() >= 8, "{file}: {watched:?}");
        assert!(watched.iter().all(|name| names().contains(name)), "{file}: {watched:?}");
        compare(file, &text);
    }
}

#[test]
fn docs_list_each_metric() {
    let of_type = include_str!("../mod.rs").split_once("/// # Metrics").unwrap().1;
    let of_type = of_type.split_once("pub enum EventKind").unwrap().0;
    assert_eq!(names_in(of_type), sorted_names());
    let page = include_str!("../../../../docs/observability.md");
    let table = page.split_once("| metric |").unwrap().1.split_once("\n\n").unwrap().0;
    assert_eq!(names_in(table), sorted_names());
}
