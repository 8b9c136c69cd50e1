//! What it means that DynamoDB has cancelled a transaction.

/// Why a transaction was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The condition of the tracker's own action failed.
    Condition,
    /// DynamoDB cannot apply the tracker's own action, because of its data.
    OwnData,
    /// The condition of the nth effect failed, counted from 0.
    Effect(usize),
    /// DynamoDB cannot apply the nth effect, counted from 0, because of its data.
    EffectData(usize),
    /// Another request was writing the item of the nth action, counted with the tracker's own.
    Conflict(usize),
    /// The nth action, counted with the tracker's own, was throttled.
    Throttled(usize),
    /// For a reason that is not known here.
    Unknown,
}

/// Classifies a cancelled transaction by the codes of its reasons: that of the tracker's own action is the first one.
///
/// The own condition comes first. If an earlier send was applied, the conditions of effects fail as well, because they are
/// applied. A conflict says nothing about the conditions, so it comes after all that is known.
pub(crate) fn classify_cancellation(codes: &[&str]) -> Cancelled {
    let own = codes.first().copied().unwrap_or_default();
    let place = |is: fn(&str) -> bool| codes.iter().position(|code| is(code));
    let is_data = |code: &str| matches!(code, "ValidationError" | "ItemCollectionSizeLimitExceeded");
    match own {
        "ConditionalCheckFailed" => return Cancelled::Condition,
        code if is_data(code) => return Cancelled::OwnData,
        _ => {}
    }
    let effects = codes.get(1..).unwrap_or_default();
    if let Some(nth) = effects.iter().position(|code| is_data(code)) {
        Cancelled::EffectData(nth)
    } else if let Some(nth) = effects.iter().position(|code| *code == "ConditionalCheckFailed") {
        Cancelled::Effect(nth)
    } else if let Some(nth) = place(|code| code == "TransactionConflict") {
        Cancelled::Conflict(nth)
    } else if let Some(nth) =
        place(|code| matches!(code, "ThrottlingError" | "ProvisionedThroughputExceeded"))
    {
        Cancelled::Throttled(nth)
    } else {
        Cancelled::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_classified_by_what_is_certain() {
        let (none, failed, conflict) = ("None", "ConditionalCheckFailed", "TransactionConflict");
        let cases: [(&[&str], Cancelled); 12] = [
            (&[failed, none], Cancelled::Condition),
            (&[failed, failed], Cancelled::Condition),
            (&[failed, conflict], Cancelled::Condition),
            (&["ValidationError", failed], Cancelled::OwnData),
            (&[none, none, failed], Cancelled::Effect(1)),
            (&[conflict, failed], Cancelled::Effect(0)),
            (&[none, "ValidationError"], Cancelled::EffectData(0)),
            (&[none, failed, "ItemCollectionSizeLimitExceeded"], Cancelled::EffectData(1)),
            (&[conflict, "ThrottlingError"], Cancelled::Conflict(0)),
            (&[none, "ProvisionedThroughputExceeded"], Cancelled::Throttled(1)),
            (&[none, "SomethingNew"], Cancelled::Unknown),
            (&[], Cancelled::Unknown),
        ];
        for (codes, expected) in cases {
            assert_eq!(classify_cancellation(codes), expected, "{codes:?}");
        }
    }
}
