//! How a search reads its sources: from where, how many rows at once, and until when. Pure.

use std::collections::HashMap;
use std::vec;

use super::claims::{ENOUGH, Found, SourceRead, WINDOW};
use crate::protocol::expected::Expected;
use crate::time::Timestamp;

/// How much each page of a range is larger than the one before, because few rows of each may be due.
const GROWTH: usize = 4;
/// The most rows of a page.
const MOST_ROWS: usize = 2000;

/// How many rows the pages of a range have.
pub(crate) fn pages(first: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(first), |rows| Some((rows * GROWTH).min(MOST_ROWS)))
}

/// The window of one source: the oldest tasks after the first of some places that has any, else the oldest of all.
#[derive(Debug)]
pub(crate) struct Window {
    read: SourceRead,
    places: vec::IntoIter<Timestamp>,
    /// From where on rows are read now; `None` is the beginning.
    from: Option<Timestamp>,
    /// How many rows of this range were read.
    rows: usize,
    /// When the first row of this range became ready.
    first: Option<Timestamp>,
    /// How many rows are not excluded.
    new: usize,
    has_ended: bool,
}

impl Window {
    pub(crate) fn new(source: usize, places: Vec<Timestamp>) -> Self {
        let mut places = places.into_iter();
        let from = places.next();
        let read = SourceRead { source, ..SourceRead::default() };
        Self { read, places, from, rows: 0, first: None, new: 0, has_ended: false }
    }

    /// Returns whether enough was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns from where on to read next; none for all rows.
    pub(crate) fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Adds a row, with its place in the index, and the time since which its task is due, as far as that is known. Returns whether
    /// there are enough now.
    pub(crate) fn add(
        &mut self,
        is_new: bool,
        place: impl FnOnce() -> Option<Timestamp>,
        due_since: impl FnOnce() -> Option<Timestamp>,
    ) -> bool {
        self.rows += 1;
        if self.first.is_none() {
            self.first = place();
        }
        if is_new && self.read.oldest.is_none() {
            self.read.oldest = due_since();
        }
        self.new += usize::from(is_new);
        // A place is for a window of tasks, not for all the rest.
        self.new >= WINDOW || (self.from.is_some() && self.rows >= WINDOW)
    }

    /// Notes that the range has no more rows, or that there are enough.
    pub(crate) fn end_range(&mut self) {
        match self.from {
            Some(_) if self.new > 0 => self.has_ended = true,
            Some(place) => {
                self.read.empty_from = Some(place);
                self.from = self.places.next();
                (self.rows, self.first) = (0, None);
            }
            None => {
                self.read.deep_since = self.first.filter(|_| self.new >= WINDOW);
                self.has_ended = true;
            }
        }
    }
}

/// What a search has read so far.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    found: Found,
    /// How many tasks are not excluded.
    new: usize,
    /// Whether the tasks before a place were not read.
    is_partial: bool,
}

impl Reading {
    /// Returns whether there are enough tasks to choose from, so that no further group is read.
    pub(crate) fn has_enough(&self) -> bool {
        self.new >= ENOUGH
    }

    /// Adds what a source has.
    pub(crate) fn add(
        &mut self,
        window: &Window,
        keys: Vec<String>,
        expected: HashMap<String, Expected>,
        suspects: Vec<String>,
    ) {
        self.is_partial |= window.from.is_some();
        self.new += window.new;
        self.found.sources.push(SourceRead { has_tasks: window.new > 0, ..window.read });
        self.found.keys.extend(keys);
        self.found.expected.extend(expected);
        self.found.suspects.extend(suspects);
    }

    /// Returns what the search has found. `of_all` says that every group of the plan was read.
    pub(crate) fn end(mut self, of_all: bool) -> Found {
        self.found.is_complete = of_all && !self.is_partial;
        self.found
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(second))
    }

    #[test]
    fn task_is_due_since_its_time_whatever_its_place_is() {
        let mut window = Window::new(0, Vec::new());
        window.add(true, || Some(at(1)), || Some(at(30)));
        window.end_range();
        let mut reading = Reading::default();
        reading.add(&window, Vec::new(), HashMap::new(), Vec::new());
        assert_eq!(reading.end(true).sources[0].oldest, Some(at(30)));
    }

    #[test]
    fn window_is_read_from_the_first_place_that_has_tasks_else_from_the_beginning() {
        let mut window = Window::new(3, vec![at(40), at(20)]);
        assert_eq!((window.has_ended(), window.from()), (false, Some(at(40))));
        assert!(!window.add(false, || Some(at(41)), || Some(at(41))), "an excluded task");
        window.end_range();
        assert_eq!((window.has_ended(), window.from()), (false, Some(at(20))));
        window.end_range();
        assert_eq!((window.has_ended(), window.from()), (false, None));
        assert!((1..=100).all(|row| window.add(true, || Some(at(row)), || Some(at(row))) == (row == 100)));
        window.end_range();
        assert!(window.has_ended());
        let read = SourceRead {
            source: 3,
            has_tasks: false,
            deep_since: Some(at(1)),
            empty_from: Some(at(20)),
            oldest: Some(at(1)),
        };
        assert_eq!(window.read, read);
        let mut reading = Reading::default();
        reading.add(&window, Vec::new(), HashMap::new(), Vec::new());
        assert!(reading.has_enough());
        let found = reading.end(true);
        assert!(found.is_complete && found.sources == [SourceRead { has_tasks: true, ..read }]);
    }

    #[test]
    fn place_is_for_one_window_also_if_its_tasks_are_excluded() {
        let mut window = Window::new(0, vec![at(20)]);
        assert!(!window.add(true, || Some(at(21)), || Some(at(21))));
        assert!((2..=100).all(|row| window.add(false, || None, || None) == (row == 100)));
        window.end_range();
        assert!(window.has_ended());
        let mut reading = Reading::default();
        reading.add(&window, Vec::new(), HashMap::new(), Vec::new());
        assert!(!reading.end(true).is_complete, "nothing before the place was read");
    }

    #[test]
    fn pages_grow() {
        assert_eq!(pages(100).take(5).collect::<Vec<_>>(), [100, 400, 1600, 2000, 2000]);
    }
}
