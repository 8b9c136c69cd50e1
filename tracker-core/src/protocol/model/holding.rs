//! What the holder of a lease does before it ends its attempt.

use super::act::Act;
use super::events::Event;
use super::mutant::Mutant;
use super::request::Request;
use super::row::{Data, Time, lock_text};
use super::steps::{head, steps};
use super::worker::{Attempt, Phase, Saving, Wait};
use crate::protocol::classify::{self, Save};
use crate::protocol::lease::Reading;

impl Act<'_> {
    /// Lets a holder do something, or takes the answer to its heartbeat or save.
    pub(super) fn hold(
        &mut self,
        mut held: Attempt,
        heartbeat: Option<(Wait, Reading)>,
        save: Option<Saving>,
        event: Event,
    ) -> Phase {
        match (event, heartbeat, save) {
            (Event::Finish(how), ..) => self.finish(held, how),
            (Event::Heartbeat, _, save) => {
                self.world.spent.heartbeats += 1;
                let heartbeat = Some(self.heartbeat(&mut held));
                Phase::Holding { held, heartbeat, save }
            }
            (Event::Save, heartbeat, _) => {
                self.world.spent.saves += 1;
                let data = held.next_data();
                let save = Some(self.save(&mut held, data));
                Phase::Holding { held, heartbeat, save }
            }
            (Event::ReceiveHeartbeat, Some((wait, _)), save) if is_asked(&wait, &held) => {
                held.is_asked = true;
                let heartbeat = Some(self.heartbeat(&mut held));
                Phase::Holding { held, heartbeat, save }
            }
            (Event::ReceiveHeartbeat, Some((wait, written)), save) => {
                match self.saved(&wait, &held, written) {
                    Save::Saved => held.acknowledge(written, self.mutant),
                    Save::Again => {}
                    Save::LeaseLost => return Phase::Idle,
                }
                Phase::Holding { held, heartbeat: None, save }
            }
            (Event::ReceiveSave, heartbeat, Some(Saving { wait, written, data })) => {
                let save = match self.saved(&wait, &held, written) {
                    Save::Again if self.mutant != Mutant::SaveSuperseded => {
                        if let Some(Err(Some(image))) = wait.answer {
                            held.lease.seen(image.lock_time.stamp());
                        }
                        let passed = held.has_passed(self.now(), self.mutant);
                        (!passed).then(|| self.save(&mut held, data))
                    }
                    Save::Saved | Save::Again => {
                        held.acknowledge(written, self.mutant);
                        self.world.ghost.told_saved(data);
                        None
                    }
                    Save::LeaseLost => None,
                };
                Phase::Holding { held, heartbeat, save }
            }
            (Event::StopWaitingForHeartbeat, _, save) => Phase::Holding { held, heartbeat: None, save },
            (Event::StopWaitingForSave, heartbeat, _) => Phase::Holding { held, heartbeat, save: None },
            (other, ..) => unreachable!("{other:?} of a holder"),
        }
    }

    /// Sends a heartbeat. Once one has seen a request to cancel, the next ones do not ask for it.
    fn heartbeat(&mut self, held: &mut Attempt) -> (Wait, Reading) {
        let written = held.next(self.now(), self.mutant);
        let (lock_id, now) = (held.lock_id, Time::of(written.time));
        let request = Request::Save { lock_id, now, data: None, asks: !held.is_asked };
        (self.send(request), written)
    }

    /// Decides what the answer to a heartbeat or a save means.
    fn saved(&mut self, wait: &Wait, held: &Attempt, written: Reading) -> Save {
        let Some(Err(image)) = wait.answer else {
            return Save::Saved;
        };
        let found = image.map(|row| head(steps(), held.step, &row));
        let save = match classify::classify_save(found.as_deref(), &lock_text(held.lock_id), written.time) {
            Save::Again if self.mutant == Mutant::OvertakenSaveIsLost => Save::LeaseLost,
            save => save,
        };
        if save == Save::LeaseLost {
            self.world.ghost.told_lease_lost(held.lock_id, self.world.row);
        }
        save
    }

    /// Sends a save.
    pub(super) fn save(&mut self, held: &mut Attempt, data: Data) -> Saving {
        let written = held.next(self.now(), self.mutant);
        let (lock_id, now) = (held.lock_id, Time::of(written.time));
        let request = Request::Save { lock_id, now, data: Some(data), asks: false };
        Saving { wait: self.send(request), written, data }
    }
}

/// Returns whether the answer to a heartbeat shows that its attempt was asked to cancel.
fn is_asked(wait: &Wait, held: &Attempt) -> bool {
    let Some(Err(Some(image))) = wait.answer else {
        return false;
    };
    let asks = matches!(wait.request, Request::Save { asks: true, .. });
    asks && classify::is_cancelled(&head(steps(), held.step, &image), &lock_text(held.lock_id))
}
