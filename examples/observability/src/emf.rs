//! Metrics go to CloudWatch in its embedded metric format: lines of JSON that a Lambda function, or a container with the agent, prints.

use std::io::stdout;
use std::time::Duration;

use crate::{AnyError, Finish};

/// Prints the metrics every second, because no more than 100 values of a histogram are kept. They are flushed at the end.
pub fn install() -> Result<Finish, AnyError> {
    let metrics = metrics_cloudwatch_embedded::Builder::new().cloudwatch_namespace("Tracker").init()?;
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if let Err(error) = metrics.flush(stdout()) {
                eprintln!("the metrics cannot be printed: {error}");
            }
        }
    });
    Ok(Box::new(|| Ok(metrics.flush(stdout())?)))
}
