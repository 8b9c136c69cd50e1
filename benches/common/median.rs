//! Computes the median of several rounds.

/// Returns the middle value (of an even number the upper one), or NaN if there is none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
