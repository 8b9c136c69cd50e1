//! Edits of an update, by which a mutant loses a guard.

use super::evaluate::Sent;

/// Edits of an update. An edit that finds nothing to change panics, because its mutant would be the protocol itself.
impl Sent {
    /// Removes the part of the condition that begins with this text.
    pub(super) fn without_condition(&mut self, part: &str) {
        let parts: Vec<_> = self.condition.split(" AND ").collect();
        let kept: Vec<_> = parts.iter().copied().filter(|kept| !kept.starts_with(part)).collect();
        assert_eq!(kept.len() + 1, parts.len(), "{part} in {}", self.condition);
        self.condition = kept.join(" AND ");
    }

    /// Replaces a part of the condition.
    pub(super) fn replace_condition(&mut self, part: &str, other: &str) {
        assert!(self.condition.contains(part), "{part} in {}", self.condition);
        self.condition = self.condition.replace(part, other);
    }

    /// Removes the assignment of an attribute.
    pub(super) fn without_assignment(&mut self, name: &str) {
        let assignment = format!("{name} = {}", self.value_set(name));
        let without = self.update.replace(&format!(", {assignment}"), "");
        let without = without.replace(&format!("SET {assignment}, "), "SET ");
        let without = without.replace(&format!("SET {assignment} "), "");
        assert_ne!(without, self.update);
        self.update = without;
    }

    /// Removes the addition to an attribute, which is the only one.
    pub(super) fn without_addition(&mut self, name: &str) {
        let (clauses, added) = self.update.split_once("ADD ").expect("an addition");
        assert!(added.starts_with(name) && !added.contains(','), "{name} in {}", self.update);
        self.update = clauses.trim_end().to_owned();
    }

    /// Keeps an attribute that the update removes.
    pub(super) fn without_removal(&mut self, name: &str) {
        let (clauses, removed) = self.update.split_once("REMOVE ").expect("a removal");
        let (removed, added) =
            removed.split_once(" ADD ").map_or((removed, ""), |(removed, added)| (removed, added));
        let kept: Vec<_> = removed.split(", ").filter(|removed| *removed != name).collect();
        assert_ne!(kept.join(", "), removed, "{name} in {}", self.update);
        let mut update = clauses.trim_end().to_owned();
        if !kept.is_empty() {
            update = format!("{update} REMOVE {}", kept.join(", "));
        }
        if !added.is_empty() {
            update = format!("{update} ADD {added}");
        }
        self.update = update;
    }

    /// Returns whether the update removes an attribute.
    pub(super) fn removes(&self, name: &str) -> bool {
        let removed = self.update.split_once("REMOVE ").map_or("", |(_, removed)| removed);
        removed.split([',', ' ']).any(|removed| removed == name)
    }

    /// Returns the placeholder that is assigned to an attribute.
    pub(super) fn value_set(&self, name: &str) -> String {
        let assignment = format!("{name} = ");
        let mut after = self.update.split([',']).map(|part| part.trim_start_matches("SET").trim());
        let value = after.find_map(|part| part.strip_prefix(&*assignment));
        let value = value.and_then(|value| value.split(' ').next());
        value.expect("an assignment").to_owned()
    }
}
