//! The alarms to set: for CloudWatch as CloudFormation, and for Prometheus as rules.

use std::fmt::Write as _;

use super::super::{GAUGE_READS, OLDEST_TASK_AGE, UP, WAIT};

/// When an alarm is raised.
enum Watch {
    /// A gauge was above a limit for some minutes.
    Above { limit: u32, minutes: u32 },
    /// A counter that somebody has counted on did not grow within some minutes, or is gone.
    Stands { minutes: u32 },
    /// A counter grew by more than this within some minutes.
    Counted { more_than: u32, minutes: u32 },
}

struct Alarm {
    name: &'static str,
    metric: &'static str,
    watch: Watch,
    what: &'static str,
}

const ALARMS: [Alarm; 10] = [
    Alarm {
        name: "TasksWait",
        metric: WAIT,
        watch: Watch::Above { limit: 600, minutes: 5 },
        what: "a task that could be started has waited for 15 minutes; run more workers, or see why they stopped",
    },
    Alarm {
        name: "GaugesAreDown",
        metric: GAUGE_READS,
        watch: Watch::Stands { minutes: 10 },
        what: "the gauges were not read for 10 minutes: the reads fail, or whoever reads them is gone; its log says why",
    },
    Alarm {
        name: "TasksIgnored",
        metric: "tracker_ignored_total",
        watch: Watch::Counted { more_than: 0, minutes: 5 },
        what: "tasks were ignored or cancelled; `tracker errors` says why, and `tracker redrive` runs them again",
    },
    Alarm {
        name: "OutcomeUnknown",
        metric: "tracker_outcome_unknown_total",
        watch: Watch::Counted { more_than: 0, minutes: 5 },
        what: "it is unknown whether the end of an attempt was recorded; see how the task stands",
    },
    Alarm {
        name: "LeasesLost",
        metric: "tracker_lease_lost_total",
        watch: Watch::Counted { more_than: 0, minutes: 5 },
        what: "a worker lost its lease while it ran; look at its CPU, its clock and its network",
    },
    Alarm {
        name: "WorkersDie",
        metric: "tracker_taken_over_total",
        watch: Watch::Counted { more_than: 10, minutes: 15 },
        what: "more than 10 tasks were taken over from workers that are gone; see why they end",
    },
    Alarm {
        name: "BodiesHang",
        metric: "tracker_unresponsive_total",
        watch: Watch::Counted { more_than: 0, minutes: 5 },
        what: "a body did not end after its timeout; it may block its thread",
    },
    Alarm {
        name: "TasksUnreadable",
        metric: "tracker_unreadable_total",
        watch: Watch::Counted { more_than: 0, minutes: 15 },
        what: "a worker cannot read a task; `tracker doctor` names it",
    },
    Alarm {
        name: "WorkersSlowDown",
        metric: "tracker_slowed_down_total",
        watch: Watch::Counted { more_than: 0, minutes: 15 },
        what: "DynamoDB throttles or does not answer, or a clock is off; the event's error says which",
    },
    Alarm {
        name: "TasksStayInProgress",
        metric: OLDEST_TASK_AGE,
        watch: Watch::Above { limit: 86_400, minutes: 5 },
        what: "a task has been in progress for a day; `tracker stuck` says which",
    },
];

/// What DynamoDB itself reports about the table and its index: the name of the alarm, the metric, whether it is that of the index,
/// and what it means.
const OF_TABLE: [(&str, &str, bool, &str); 4] = [
    ("WritesThrottled", "WriteThrottleEvents", false, "writes of the table are throttled"),
    ("ReadsThrottled", "ReadThrottleEvents", false, "reads of the table are throttled"),
    (
        "IndexWritesThrottled",
        "WriteThrottleEvents",
        true,
        "writes of the index are throttled; a status may need more shards",
    ),
    (
        "IndexReadsThrottled",
        "ReadThrottleEvents",
        true,
        "reads of the index are throttled; fewer workers may look less often",
    ),
];

const HEAD: &str = "# Made of the names of the metrics by a test of tracker-core.
AWSTemplateFormatVersion: \"2010-09-09\"
Description: Alarms of one step of a task tracker, whose programs write their metrics in the embedded metric format
Parameters:
  Namespace:
    Type: String
    Default: Tracker
  UseCaseId:
    Type: String
  Step:
    Type: String
    Description: The name of the tracked struct, unless the builder names another
  InProgress:
    Type: String
    Default: InProgress
    Description: The name of the status of tasks in progress
  TableName:
    Type: String
  IndexName:
    Type: String
    Default: status_and_update_time-index
  Topic:
    Type: String
    Description: The ARN of the SNS topic that is told
Resources:
";

impl Alarm {
    /// Whether the metric has a value for each status, of which one is meant.
    fn is_of_status(&self) -> bool {
        self.metric == OLDEST_TASK_AGE
    }

    fn cloudformation(&self) -> String {
        let (comparison, limit, period, periods, missing) = match self.watch {
            Watch::Above { limit, minutes } => ("GreaterThanThreshold", limit, 60, minutes, "ignore"),
            Watch::Stands { minutes } => ("LessThanThreshold", 1, minutes * 60, 1, "breaching"),
            Watch::Counted { more_than, minutes } => {
                ("GreaterThanThreshold", more_than, minutes * 60, 1, "notBreaching")
            }
        };
        let statistic = match self.watch {
            Watch::Counted { .. } | Watch::Stands { .. } => "Sum",
            Watch::Above { .. } => "Maximum",
        };
        let mut dimensions = vec![("use_case_id", "!Ref UseCaseId"), ("step", "!Ref Step")];
        if self.is_of_status() {
            dimensions.extend([("status", "!Ref InProgress"), ("role", "in_progress")]);
        }
        resource(
            self.name,
            self.what,
            &format!("!Ref Namespace\n      MetricName: {}", self.metric),
            &dimensions,
            &format!(
                "Statistic: {statistic}
      ComparisonOperator: {comparison}
      Threshold: {limit}
      Period: {period}
      EvaluationPeriods: {periods}
      TreatMissingData: {missing}"
            ),
        )
    }

    fn prometheus(&self) -> String {
        let Self { name, metric, what, .. } = self;
        let (of_status, ignoring) = if self.is_of_status() {
            ("{role=\"in_progress\"}", " ignoring (status, role)")
        } else {
            ("", "")
        };
        let (by, by_on) = ("by (use_case_id, step)", "on (use_case_id, step)");
        let (expression, minutes) = match self.watch {
            // A reader whose last read failed keeps old values.
            Watch::Above { limit, minutes } => {
                (format!("max {by} ({metric}{of_status} and{ignoring} ({UP} == 1)) > {limit}"), minutes)
            }
            // Whoever has read within the last day is missed, also if no series of it is left. A new one may have read once.
            Watch::Stands { minutes } => {
                let was = format!("max {by} (max_over_time({metric}[1d]))");
                (format!("{was} unless {by_on} (sum {by} (increase({metric}[{minutes}m])) > 0)"), 5)
            }
            Watch::Counted { more_than, minutes } => {
                (format!("sum {by} (increase({metric}[{minutes}m])) > {more_than}"), 0)
            }
        };
        format!(
            "      - alert: {name}
        expr: {expression}
        for: {minutes}m
        annotations:
          summary: \"{{{{ $labels.use_case_id }}}} {{{{ $labels.step }}}}: {what}\"
"
        )
    }
}

/// Returns an alarm of CloudWatch.
fn resource(name: &str, what: &str, metric: &str, dimensions: &[(&str, &str)], when: &str) -> String {
    let mut of = String::new();
    for (name, value) in dimensions {
        let _ = write!(of, "        - Name: {name}\n          Value: {value}\n");
    }
    format!(
        "  {name}:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: \"{what}\"
      Namespace: {metric}
      Dimensions:
{of}      {when}
      AlarmActions: [!Ref Topic]
"
    )
}

pub(super) fn cloudformation() -> String {
    let mut text = HEAD.to_owned();
    text.extend(ALARMS.iter().map(Alarm::cloudformation));
    text.extend(OF_TABLE.map(|(name, metric, of_index, what)| {
        let mut dimensions = vec![("TableName", "!Ref TableName")];
        if of_index {
            dimensions.push(("GlobalSecondaryIndexName", "!Ref IndexName"));
        }
        resource(
            name,
            what,
            &format!("AWS/DynamoDB\n      MetricName: {metric}"),
            &dimensions,
            "Statistic: Sum
      ComparisonOperator: GreaterThanThreshold
      Threshold: 0
      Period: 60
      EvaluationPeriods: 5
      TreatMissingData: notBreaching",
        )
    }));
    text
}

pub(super) fn prometheus() -> String {
    let head = "# Made of the names of the metrics by a test of tracker-core.
groups:
  - name: tracker
    rules:
";
    ALARMS.iter().fold(head.to_owned(), |text, alarm| text + &alarm.prometheus())
}
