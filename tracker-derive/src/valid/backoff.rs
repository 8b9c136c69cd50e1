//! The rules of the backoff, which three keys describe together.

use super::values;
use crate::attr::Args;
use crate::diagnostics::Diagnostics;
use crate::keys;

/// The tracker's defaults for the first wait and for the longest wait.
const DEFAULT_BASE: u32 = 15;
const DEFAULT_MAX: u32 = 900;

/// The backoff as it was written.
pub(super) struct Backoff {
    pub(super) shape: Option<&'static str>,
    pub(super) base: Option<u32>,
    pub(super) max: Option<u32>,
}

impl Backoff {
    pub(super) fn read(args: &Args, diagnostics: &Diagnostics) -> Self {
        let shapes = [("none", "None"), ("exponential", "Exponential")];
        let number = |key| values::number(args, key, &(1..=u32::MAX), "", diagnostics);
        let backoff = Self {
            shape: values::word(args, &keys::BACKOFF, &shapes, diagnostics),
            base: number(&keys::BACKOFF_BASE_SECONDS),
            max: number(&keys::BACKOFF_MAX_SECONDS),
        };
        // A wrong value, and an unknown key that may stand for the absent key, were reported already.
        let absent = |key| !args.mentions(key) && !args.unknown;
        let is_absent = backoff.shape.is_none() && absent(&keys::BACKOFF);
        // Python workers do not know `run_at`, so a backoff would hold for some of the workers only.
        let is_python = args.text(&keys::WIRE).is_some_and(|wire| wire.value() == "pynamodb");
        match backoff.shape {
            Some("None") => without_effect(args, "with `backoff = \"none\"`", "", diagnostics),
            None if is_absent && is_python => {
                without_effect(args, "with `wire = \"pynamodb\"`", " as well", diagnostics);
            }
            None if !is_absent => {}
            _ => {
                let absent_base = absent(&keys::BACKOFF_BASE_SECONDS).then_some(DEFAULT_BASE);
                let absent_max = absent(&keys::BACKOFF_MAX_SECONDS).then_some(DEFAULT_MAX);
                backoff.check_order(args, absent_base, absent_max, diagnostics);
            }
        }
        Self { shape: backoff.shape.or((is_absent && is_python).then_some("None")), ..backoff }
    }

    /// Reports a longest wait that is less than the first wait.
    fn check_order(
        &self,
        args: &Args,
        absent_base: Option<u32>,
        absent_max: Option<u32>,
        diagnostics: &Diagnostics,
    ) {
        let [base_key, max_key] = [&keys::BACKOFF_BASE_SECONDS, &keys::BACKOFF_MAX_SECONDS];
        let (base_name, max_name) = (base_key.name, max_key.name);
        if let (Some(base), Some(max)) = (absent_base, self.max)
            && max < base
        {
            let message = format!(
                "`{max_name}` cannot be less than `{base_name}`, which is {base} by default: write {base} or more, or a \
                 smaller `{base_name}` as well"
            );
            diagnostics.on(args.number(max_key), message);
        }
        let Some(base) = self.base else { return };
        if self.max.is_some_and(|max| max < base) {
            let message = format!(
                "`{max_name}` cannot be less than `{base_name}`: write {base} or more, or a smaller `{base_name}`"
            );
            diagnostics.on(args.number(max_key), message);
        }
        if let Some(max) = absent_max.filter(|max| *max < base) {
            let message = format!(
                "`{base_name}` cannot be more than `{max_name}`, which is {max} by default: write 1 to {max}, or a \
                 larger `{max_name}` as well"
            );
            diagnostics.on(args.number(base_key), message);
        }
    }
}

/// Reports the lengths of waits if there is no wait.
fn without_effect(args: &Args, reason: &str, as_well: &str, diagnostics: &Diagnostics) {
    let usage = keys::BACKOFF.usage();
    for key in [&keys::BACKOFF_BASE_SECONDS, &keys::BACKOFF_MAX_SECONDS] {
        if let Some(name) = args.name(key) {
            let message =
                format!("`{name}` has no effect {reason}: write `{usage}`{as_well}, or remove `{name}`");
            diagnostics.on(name, message);
        }
    }
}
