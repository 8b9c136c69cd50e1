//! The recorder of metrics that all tests share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

/// What a counter or a histogram has recorded: its name, the use case, and the values.
type Recorded = (String, String, Vec<f64>);

static GAUGES: OnceLock<Mutex<HashMap<Key, Arc<AtomicU64>>>> = OnceLock::new();

/// Installs the recorder. No tracker may be built before.
pub fn install() {
    recorder();
}

/// The recorded values of a metric for a use case: the steps of a counter, or the values of a histogram.
pub fn recorded(use_case: &str, name: &str) -> Vec<f64> {
    // A snapshot empties the metrics, and other tests take snapshots as well.
    static ALL: Mutex<Vec<Recorded>> = Mutex::new(Vec::new());
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    for (key, unit, description, value) in recorder().snapshot().into_vec() {
        let key = key.key();
        let is_counter = key.name().ends_with("_total");
        assert_eq!(unit, Some(if is_counter { Unit::Count } else { Unit::Seconds }), "{}", key.name());
        assert!(description.is_some_and(|text| !text.is_empty()), "{}", key.name());
        assert!(label(key, "step").is_some_and(|step| !step.is_empty()), "{}", key.name());
        let of = label(key, "use_case_id").expect("a use case");
        let values = match value {
            DebugValue::Counter(steps) => vec![f64::from(u32::try_from(steps).expect("a small number"))],
            DebugValue::Histogram(values) => values.into_iter().map(f64::from).collect(),
            DebugValue::Gauge(_) => unreachable!("a snapshot would empty the gauges"),
        };
        all.push((key.name().to_owned(), of.to_owned(), values));
    }
    let ours = all.iter().filter(|(metric, of, _)| metric == name && of == use_case);
    ours.flat_map(|(_, _, values)| values.clone()).collect()
}

/// What a gauge of a use case was set to at last, if it was.
pub fn gauge(use_case: &str, name: &str, status: Option<&str>) -> Option<f64> {
    let gauges = GAUGES.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    let is_ours = |key: &&Key| {
        key.name() == name && label(key, "use_case_id") == Some(use_case) && label(key, "status") == status
    };
    let ours = gauges.keys().find(is_ours)?;
    assert!(label(ours, "step").is_some_and(|step| !step.is_empty()), "{name}");
    Some(f64::from_bits(gauges[ours].load(Ordering::SeqCst)))
}

fn label<'k>(key: &'k Key, name: &str) -> Option<&'k str> {
    key.labels().find(|label| label.key() == name).map(Label::value)
}

fn recorder() -> &'static Snapshotter {
    static RECORDER: OnceLock<Snapshotter> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::set_global_recorder(WithGauges(recorder)).expect("the only recorder");
        snapshotter
    })
}

/// The recorder for debugging, with gauges that keep their values.
struct WithGauges(DebuggingRecorder);

impl Recorder for WithGauges {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        let is_time = key.as_str().ends_with("_seconds");
        assert_eq!(unit, Some(if is_time { Unit::Seconds } else { Unit::Count }), "{}", key.as_str());
        assert!(!description.is_empty(), "{}", key.as_str());
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.0.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.0.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut gauges = GAUGES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        Gauge::from_arc(Arc::clone(gauges.entry(key.clone()).or_default()))
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.0.register_histogram(key, metadata)
    }
}
