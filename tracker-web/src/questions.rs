//! The questions before a change, for as long as somebody may go back to them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracker_core::Action;

use crate::view::work::Meant;

/// How many questions are remembered. One has at most the bytes of a form.
const KEPT: usize = 30;

/// What is to be confirmed.
pub(crate) struct Question {
    pub(crate) use_case: String,
    pub(crate) action: Action,
    pub(crate) meant: Meant,
    /// Where to go back to.
    pub(crate) back: String,
}

/// The last questions, each with its number.
#[derive(Default)]
pub(crate) struct Questions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    questions: VecDeque<(u64, Arc<Question>)>,
}

impl Questions {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a question, and returns its number.
    pub(crate) fn keep(&self, question: Question) -> u64 {
        let mut kept = self.lock();
        kept.last += 1;
        let number = kept.last;
        kept.questions.push_back((number, Arc::new(question)));
        if kept.questions.len() > KEPT {
            kept.questions.pop_front();
        }
        number
    }

    pub(crate) fn get(&self, number: u64) -> Option<Arc<Question>> {
        let kept = self.lock();
        kept.questions.iter().find(|(own, _)| *own == number).map(|(_, question)| Arc::clone(question))
    }
}
